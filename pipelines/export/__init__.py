"""Hands a subset on: square pictures of one size, with the rights of each beside them."""

from __future__ import annotations

from pipelines.export import folder, zip_
from pipelines.export.format import Format

FORMATS: dict[str, Format] = {"folder": folder, "zip": zip_}
