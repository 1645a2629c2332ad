"""The real pictures and the features by which generated ones are compared with them; their statistics are kept.

They lie below `statistics/` in a cache folder, one file for each content of the pictures, features, resize and code.
A file that is damaged or of something else is never used: the statistics are computed again and replace it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from benchmarks import measure, pixel_cache
from benchmarks.measure import Real
from benchmarks.networks import Generator
from benchmarks.pictures import Pictures
from manifests import atomic, plain_json
from models import counter_random, distances, extractors, features, resnet_classifier, statistics
from models.distances import Sample
from models.features import Extractor
from models.statistics import Gaussian

FOLDER = "statistics"  # in the cache
CODE = (counter_random, distances, extractors, features, resnet_classifier, statistics)  # on which the statistics hang


@dataclass(frozen=True)
class Reference:
    """The real pictures and the features. `cache`: a folder to keep statistics in, None for none."""

    pictures: Pictures
    extractor: Extractor
    cache: Path | None = None

    @cached_property
    def real(self) -> Real:
        """Statistics and a sample of all real pictures' features, read or computed when first asked for."""
        if self.cache is None:
            return measure.real_statistics(self.pictures.images, self.extractor)
        path = self.cache / FOLDER / f"{_digest(self.facts())}.safetensors"
        known = _read(path, self.facts(), self.extractor)
        if known is not None:
            return known
        made = measure.real_statistics(self.pictures.images, self.extractor)
        with contextlib.suppress(OSError):  # a full or read-only disk costs time only
            atomic.make_folder(path.parent)
            atomic.write_bytes(path, _written(made, self.facts()))
        return made

    @property
    def statistics(self) -> Gaussian:
        """Of all real pictures."""
        return self.real.gaussian

    def facts(self) -> dict[str, str | int]:
        """What the statistics hang on."""
        return {
            "subset_hash": self.pictures.subset_hash,
            "pictures_hash": self.pictures.pictures_hash,
            "pictures": len(self.pictures.images),
            "resolution": self.pictures.resolution,
            "decoders": pixel_cache.decoders(),
            "features": self.extractor.label,
            "resize": self.extractor.resize,
            "code": code_version(),
        }

    @property
    def name(self) -> str:
        """What a Frechet distance of these features is called: FID only with the 2015 Inception."""
        return "fid" if self.extractor.is_fid else "fd"

    def distances(self, generator: Generator, seed: int, frames: int) -> dict[str, float]:
        """How far a generator's frames are from the pictures, by the names of the distances."""
        found = measure.distances(generator, self.statistics, self.extractor, seed, frames)
        return dict(zip((self.name, f"infinity_{self.name}"), found, strict=False))


@functools.cache
def code_version() -> str:
    """SHA-256 of the modules that make features and statistics: other code, other statistics."""
    sources = [Path(module.__file__ or "").read_bytes() for module in CODE]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def _digest(facts: Mapping[str, str | int]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        whole.update(tensor.contiguous().numpy().tobytes())
    return whole.hexdigest()


def _written(real: Real, facts: Mapping[str, str | int]) -> bytes:
    tensors = {**real.gaussian.state(), **{f"sample.{name}": one for name, one in real.sample.state().items()}}
    return save(tensors, {"about": json.dumps({"facts": facts, "sha256": _checksum(tensors)}, sort_keys=True)})


def _read(path: Path, facts: Mapping[str, str | int], extractor: Extractor) -> Real | None:
    """What a file holds; None where it is not there, damaged, or of something else."""
    try:
        with safe_open(path, "pt") as stored:
            about = plain_json.loads((stored.metadata() or {})["about"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
        if about["facts"] != facts or about["sha256"] != _checksum(tensors):
            return None
        sample = {name: tensors.pop(f"sample.{name}") for name in ("features", "keys")}
        real = Real(Gaussian.from_state(tensors, extractor.device), Sample.from_state(sample))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError):  # also of tensors of other kinds
        return None
    fits = real.gaussian.dims == real.sample.dims == extractor.dims and real.gaussian.n == facts["pictures"]
    return real if fits else None
