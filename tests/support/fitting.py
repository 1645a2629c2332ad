"""Fitted stages, fitted on pictures held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from manifests.errors import InputError
from pipelines.engine.stage import RGB, FitInput, Stage


def sha_of(name: object) -> str:
    """The sha256 of a made-up file."""
    return hashlib.sha256(str(name).encode()).hexdigest()


def fitted(stage: Stage[Any], images: Mapping[str, RGB], order: Iterable[str] | None = None) -> Mapping[str, bytes]:
    """The files of a fit on these images by sha256, in this order; one that is not among them is damaged."""

    def read(sha256: str) -> RGB:
        if sha256 not in images:
            raise InputError("damaged")
        return images[sha256]

    return stage.fit(FitInput(list(order or sorted(images)), read), lambda done, total: None)


def in_folder(files: Mapping[str, bytes], folder: Path) -> Path:
    """The folder, made where it is missing, with these files."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
