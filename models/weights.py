"""Every pretrained file that the toolkit knows: where it comes from, its hash, its licence, what needs it.

A file is used only after its hash was checked. `lhq weights fetch NAME` brings it into the cache folder; nothing is
ever downloaded on the way. Files of plain weights (safetensors, or a checkpoint that opens with weights_only) may
also be given by path; TorchScript runs code when it is opened, so such a file must have the SHA-256 written here.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_TORCHVISION = (
    "none stated for the file; torchvision, which publishes it, is BSD-3-Clause and says that the terms of the data "
    "it was trained on may apply: "
)
_IMAGENET = _TORCHVISION + "ImageNet, for non-commercial research"
_COCO = _TORCHVISION + "COCO (annotations CC BY 4.0, photographs from Flickr) and ImageNet"
DIGITS = 64  # of a whole SHA-256


class WeightsError(ValueError):
    """A file of weights is missing or is not the one it should be; the text names the remedy."""


@dataclass(frozen=True)
class Weights:
    """One pretrained file."""

    name: str  # what `lhq weights fetch` is told
    file: str  # in the cache folder
    url: str
    sha256: str  # the whole, or its first 8 digits where only these are published (they stand in the file's name)
    mebibytes: float | None  # as published, to three decimals; None where that is not published
    licence: str
    needed_by: str
    torchscript: bool = False

    @property
    def known_whole(self) -> bool:
        """Whether all 64 digits of the hash are known; if not, only the first 8 are checked."""
        return len(self.sha256) == DIGITS

    def fits(self, sha256: str) -> bool:
        """Whether a file with this hash is taken for this one."""
        return sha256.startswith(self.sha256)


# Addresses and sizes: the weight enums of torchvision 0.29.2 (IMAGENET1K_V1 and COCO_V1). Wide ResNet's V1 is what
# the authors of ALIS started from (`pretrained=True`); its file holds half-precision numbers.
REGISTRY: Mapping[str, Weights] = {
    one.name: one
    for one in (
        Weights(
            "maskrcnn_resnet50_fpn_v2",
            "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            "73cbd019",
            177.219,
            _COCO,
            "the stage objects",
        ),
        Weights(
            "maskrcnn_resnet50_fpn",
            "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "bf2d0c1e",
            169.84,
            _COCO,
            "the stage objects with its older detector",
        ),
        Weights(
            "resnet18",
            "resnet18-f37072fd.pth",
            "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            "f37072fd",
            44.661,
            _IMAGENET,
            "invariance.network=resnet18",
        ),
        Weights(
            "wide_resnet50_2",
            "wide_resnet50_2-95faca4d.pth",
            "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
            "95faca4d",
            131.82,
            _IMAGENET,
            "invariance.network=wide_resnet50_2",
        ),
        Weights(
            "vgg16",
            "vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "397923af",
            527.796,
            _IMAGENET,
            "the perceptual loss of taming",
        ),
        Weights(
            "inception",
            "inception-2015-12-05.pt",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            None,
            "none stated for the file, which NVIDIA publishes; the network is Google's of 2015, trained on ImageNet",
            "FID, and the stage likelihood",
            torchscript=True,
        ),
    )
}


def cache_folder() -> Path:
    """Where files of weights lie: LHQ_CACHE, else ~/.cache/lhq."""
    return Path(os.environ.get("LHQ_CACHE") or Path.home() / ".cache" / "lhq")


def how_to_get(name: str) -> str:
    """The one command that brings a file of the registry."""
    return f"run: lhq weights fetch {name}"


@dataclass(frozen=True)
class Found:
    """A file that may be opened, and its SHA-256."""

    path: Path
    sha256: str


def find(name: str, given: Path | None = None, cache: Path | None = None) -> Found:
    """The file of a registered network, its hash checked: in the cache folder, or at the path given instead.

    A file given by path may hold other weights than the registered ones, unless it is TorchScript. Raises
    WeightsError where the file is missing or is not the one it should be.
    """
    wanted = REGISTRY[name]
    path = (cache or cache_folder()) / wanted.file if given is None else given
    if not path.is_file():
        remedy = how_to_get(name) if given is None else "give the path of a file, or none"
        raise WeightsError(f"{path} is missing: {remedy}")
    sha256 = sha256_of(path)
    if (given is None or wanted.torchscript) and not wanted.fits(sha256):
        raise WeightsError(
            f"{path} has the SHA-256 {sha256}, not {wanted.sha256}{'' if wanted.known_whole else '...'}, and was not "
            f"opened: delete it and {how_to_get(name)}"
        )
    return Found(path, sha256)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; read once per process while its size and time stay."""
    facts = path.stat()
    return _remembered(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _remembered(path: Path, size: int, time: int) -> str:  # noqa: ARG001 (what the answer hangs on)
    return read_sha256(path)


def read_sha256(path: Path) -> str:
    """SHA-256 of a file as it is now."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


_ZIP_END = 98  # bytes, of the records that may stand behind a zip's list of members
_BESIDE = ("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",)  # named in checkpoints, beside the weights


class _Unused:
    """Stands for a class that a checkpoint names and nobody here needs."""


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor's numbers are there, each once: a small file may claim terabytes of one number."""
    import torch

    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.nbytes <= tensor.untyped_storage().nbytes()


def _refuse_packed(path: Path) -> None:
    """ValueError for a zip that is larger than its file, which PyTorch would unpack into memory.

    PyTorch stores members as they are. It and Python's zipfile look for the list of members in different ways, so the
    list must stand right before the records at the end of the file, where both find it.
    """
    with path.open("rb") as stream:
        if stream.read(4) != b"PK\3\4":  # by which PyTorch tells
            return
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _ZIP_END))
        end = stream.read()
    if end[56:60] == b"PK\6\7":  # the form for large files: its record (56 bytes), where that is (20), the end (22)
        length, first, record = *struct.unpack("<QQ", end[40:56]), size - _ZIP_END
        sound = end[:4] == b"PK\6\6" and struct.unpack("<Q", end[64:72]) == (record,)
    else:
        length, first, record = *struct.unpack("<II", end[-10:-2]), size - 22
        sound = end[-22:-18] == b"PK\5\6"
    if not sound or first + length != record:
        raise ValueError("its end is not that of a zip")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED for one in members) or sum(one.file_size for one in members) > size:
        raise ValueError("its members are packed: they may be of any size")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file, on the CPU, without running any code of it.

    Takes safetensors, and checkpoints that torch.load opens with weights_only=True: tensors by name, or these under
    `state_dict` or `model`. Raises WeightsError for any other file.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        _refuse_packed(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'torch.load' received a zip file", UserWarning)  # it then refuses it
            with torch.serialization.safe_globals([(_Unused, name) for name in _BESIDE]):
                stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file fails in any way it likes
        what = str(error).partition("\n")[0].partition(" This file can")[0] or type(error).__name__
        what = "".join(letter for letter in what if letter.isprintable())
        raise WeightsError(
            f"{path} holds no plain weights ({what}): give safetensors, or a checkpoint that torch.load opens with "
            f"weights_only=True"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if not isinstance(stored, dict) or not all(isinstance(one, torch.Tensor) for one in stored.values()) or not stored:
        raise WeightsError(f"{path} holds no tensors by name: give a checkpoint of a network's state_dict")
    if odd := next((name for name, tensor in stored.items() if not _is_plain(tensor)), None):
        raise WeightsError(f"{path} holds {str(odd)[:80]!a}, which is no plain tensor, or claims more than it has")
    return {str(name): tensor for name, tensor in stored.items()}
