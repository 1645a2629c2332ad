"""Hands a subset on: square pictures of one size, with the rights of each beside them."""

from __future__ import annotations

FORMATS = ("folder", "zip", "webdataset", "parquet")
