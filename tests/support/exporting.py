"""Exporting as a user does, and reading a zip as the data readers of StyleGAN2-ADA and StyleGAN3 do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIZE = 32


def export(dataset: Path, out: Path | str, *more: object, form: str = "folder", size: int = SIZE) -> tuple[object, ...]:
    """The arguments of `lhq`; of an option given twice the later holds."""
    return ("export", dataset, out, "--format", form, "--resolution", size, "--workers", "0", *more)


def read_as_stylegan(path: Path) -> tuple[npt.NDArray[np.uint8], list[str], object]:
    """Pictures [n, 3, size, size] of a zip in the order of their names, the names, and what stands as labels."""
    Image.init()
    with zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        names = sorted(name for name in members if Path(name).suffix.lower() in Image.EXTENSION)
        pictures = [np.array(Image.open(archive.open(name))).transpose(2, 0, 1) for name in names]
        labels = json.loads(archive.read("dataset.json"))["labels"] if "dataset.json" in members else None
    return np.stack(pictures), names, labels
