"""Statistics of the real pictures are kept, used again only for what they are of, and made anew when damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks import reference as module
from benchmarks.pictures import Pictures
from benchmarks.reference import Reference
from models import features
from models.features import Extractor

PICTURES = Pictures(tiny.images(), "tiny", "curated", "a" * 64, "c" * 64)


@pytest.fixture
def counted() -> tuple[Extractor, list[int]]:
    """The small network, and how many pictures it saw."""
    small, seen = features.small(), []

    def network(images):
        seen.append(len(images))
        return small.network(images)

    return dataclasses.replace(small, network=network), seen


def _files(cache: Path) -> list[Path]:
    return sorted((cache / "statistics").iterdir())


def _same(a: Reference, b: Reference) -> bool:
    pairs = [(a.real.gaussian.state(), b.real.gaussian.state()), (a.real.sample.state(), b.real.sample.state())]
    return all(torch.equal(one[name], other[name]) for one, other in pairs for name in one)


def test_statistics_are_computed_once_and_the_same_when_read(tmp_path, counted):
    extractor, seen = counted
    first = Reference(PICTURES, extractor, tmp_path)
    assert first.statistics.n == 40
    assert sum(seen) == 40
    again = Reference(PICTURES, extractor, tmp_path)
    assert _same(again, first)
    assert sum(seen) == 40
    assert len(_files(tmp_path)) == 1
    assert _same(Reference(PICTURES, extractor), first), "without a cache"
    assert sum(seen) == 80


@pytest.mark.parametrize(
    "change", ["subset_hash", "pictures_hash", "images", "decoders", "weights_hash", "resize", "code"]
)
def test_anything_they_hang_on_makes_other_statistics(tmp_path, counted, change, monkeypatch):
    extractor, seen = counted
    Reference(PICTURES, extractor, tmp_path).real  # noqa: B018
    pictures = PICTURES
    if change == "images":
        pictures = dataclasses.replace(PICTURES, images=tiny.images(41))
    elif change.endswith("_hash") and change != "weights_hash":
        pictures = dataclasses.replace(PICTURES, **{change: "e" * 64})
    elif change == "code":
        monkeypatch.setattr(module, "code_version", lambda: "other")
    elif change == "decoders":
        monkeypatch.setattr(module.pixel_cache, "decoders", lambda: "another Pillow")
    else:
        extractor = dataclasses.replace(extractor, **{change: "other"})
    Reference(pictures, extractor, tmp_path).real  # noqa: B018
    assert len(seen) == 4, "two batches each time"
    assert len(_files(tmp_path)) == 2


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1  # a bit of a number
    path.write_bytes(data)


def _of_another(path: Path) -> None:
    """A sound file, under the name of this one."""
    with safe_open(path, "pt") as stored:
        told = stored.metadata()
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    save_file(tensors, path, {"about": told["about"].replace("a" * 64, "b" * 64)})


def _without_sum(path: Path) -> None:
    save_file({"n": torch.tensor([40])}, path)


@pytest.mark.parametrize(
    "damage",
    [
        _flipped,
        _of_another,
        _without_sum,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x04 a pickle that nobody opens"),
    ],
)
def test_a_damaged_file_is_computed_again_and_replaced(tmp_path, counted, damage):
    extractor, seen = counted
    first = Reference(PICTURES, extractor, tmp_path)
    first.real  # noqa: B018
    (path,) = _files(tmp_path)
    whole = path.read_bytes()
    damage(path)
    assert _same(Reference(PICTURES, extractor, tmp_path), first)
    assert sum(seen) == 80
    assert path.read_bytes() == whole
    assert _files(tmp_path) == [path]


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path, counted):
    extractor, _ = counted
    (tmp_path / "statistics").write_text("a file where the folder would be")
    assert Reference(PICTURES, extractor, tmp_path).statistics.n == 40


def test_the_code_version_is_that_of_the_sources():
    assert len(module.code_version()) == 64
    assert {Path(one.__file__ or "").name for one in module.CODE} >= {
        *("features.py", "statistics.py", "extractors.py", "resnet_classifier.py")
    }
