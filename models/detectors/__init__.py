"""Networks that find things in pictures, behind one interface (`base.Detector`); here what is told without torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SMALL_FILE = Path(__file__).with_name("small.safetensors")  # the small detector's weights: half precision, < 200 kB
DETECTRON2_COMMIT = "02b5c4e295e990042a714712c21dc79b731e8833"  # of its source, which the adapter was tried with
DETECTRON2_INSTALL = (
    "python -m pip install --no-build-isolation "
    f"'detectron2 @ git+https://github.com/facebookresearch/detectron2@{DETECTRON2_COMMIT}'"
)


def detectron2_is_installed() -> bool:
    """Whether the package can be found; it is not imported."""
    return importlib.util.find_spec("detectron2") is not None


def how_to_install_detectron2() -> str:
    """What to do where it is missing."""
    return (
        f"detectron2 is not installed: build it from its source (a C++ compiler, some minutes) with: "
        f"{DETECTRON2_INSTALL} (packages of that name on package indexes are not its authors')"
    )
