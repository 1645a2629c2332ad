"""Which network looks for objects: ours and those of other packages by their names, each made with its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import MisuseError, SetupError
from manifests.plugins import Group
from pipelines.filters.pretrained import find

if TYPE_CHECKING:  # torch is imported where a network is made
    from models.detectors.base import Detector, PluginDetector

SMALL, DETECTRON2 = "small", "detectron2"
DETECTORS: Group[PluginDetector] = Group(
    "detector",
    "lhq.detectors",
    "models.detectors.base:PluginDetector",
    ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn", DETECTRON2, SMALL),
)
MIN_SIDE, SMALL_MIN_SIDE = 800, 160  # pixels: what ours look at


def min_side(name: str) -> int:
    """Images are decoded so that their short side has at least so many pixels."""
    if name in DETECTORS.ours:
        return SMALL_MIN_SIDE if name == SMALL else MIN_SIDE
    return DETECTORS.load(name).min_side


def weights_hash(name: str, given: Path | None) -> str:
    """What finding hangs on besides the settings: of ours the SHA-256 of the file of weights.

    Of one of another package a hash of that, of its name and package, and of its version. SetupError, with what to do,
    where something is missing; MisuseError for a name that no detector has.
    """
    if name in DETECTORS.ours:
        return _our_file(name, given)[1]
    from models import weights

    kind = DETECTORS.load(name)
    file = _their_file(kind, given)
    sha256 = None if file is None else weights.sha256_of(file)
    facts = (DETECTORS.plugin(name).package, name, kind.version, sha256)
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()


def make(name: str, given: Path | None, config: str) -> Detector:
    """The network with its weights, on a graphics card where there is one. `config`: of detectron2's zoo."""
    import torch

    from models import weights

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if name not in DETECTORS.ours:
            kind = DETECTORS.load(name)
            return kind(_their_file(kind, given), torch.device(device))
        tensors = weights.read_tensors(_our_file(name, given)[0])
        if name == SMALL:
            from models.detectors.small import SmallDetector

            return SmallDetector(tensors, device)
        if name == DETECTRON2:
            from models.detectors.detectron2_rcnn import Detectron2RCNN

            return Detectron2RCNN(config, tensors, device)
        from models.detectors.torchvision_rcnn import TorchvisionRCNN

        return TorchvisionRCNN(name, tensors, device)
    except weights.WeightsError as error:
        raise SetupError(f"objects: {error}") from error


def _our_file(name: str, given: Path | None) -> tuple[Path, str]:
    """The file of weights of one of ours, and its SHA-256."""
    from models import weights
    from models.detectors import SMALL_FILE, detectron2_is_installed, how_to_install_detectron2

    if name in weights.REGISTRY:
        found = find(name, given)
        return found.path, found.sha256
    if name == SMALL:
        given = given or SMALL_FILE
    elif not detectron2_is_installed():
        raise SetupError(how_to_install_detectron2())
    if given is None:
        raise SetupError(
            "objects.detector=detectron2 needs weights: give safetensors or a weights-only checkpoint with "
            "--set objects.weights=PATH (its zoo has pickles, which run code when opened: models/detectors/README.md)"
        )
    return _there(given), weights.sha256_of(given)


def _their_file(kind: type[PluginDetector], given: Path | None) -> Path | None:
    file = kind.weights_file(given)
    return None if file is None else _there(file)


def _there(file: Path) -> Path:
    if not file.is_file():
        raise MisuseError(f"{file} is missing: give the path of a file of weights with --set objects.weights=PATH")
    return file
