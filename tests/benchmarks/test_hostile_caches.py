"""What lies in the cache may be damaged, or of anybody: it is used when it is sound, else made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hypothesis import strategies as st
from mangling import FEW_OR_MANY, mangled, mangled_json, tried
from safetensors.torch import load, save

from benchmarks import importing, pictures, pixel_cache, reference
from benchmarks.pictures import Pictures
from benchmarks.reference import Reference
from lhq_toolkit import benchmark_data
from manifests import plain_json
from manifests.errors import MisuseError
from models import features

pytestmark = pytest.mark.slow

PICTURES = Pictures(tiny.images(), "tiny", "curated", "a" * 64, "c" * 64)


def signed(data: bytes) -> bytes:
    """What is said of pixels, with the sum of what it says now."""
    try:
        facts = plain_json.mapping(data)
        return json.dumps({**facts, "sha256": pixel_cache._sum(facts["about"])}).encode()
    except (ValueError, KeyError, RecursionError):
        return data


@pytest.mark.parametrize("name", [pixel_cache.PIXELS, pixel_cache.ABOUT])
@FEW_OR_MANY
def test_pixels_that_were_kept(tmp_path, capfd, name, many):
    torch.set_num_threads(1)
    data = tiny.write(tmp_path / "data", tiny.images(4))
    sound = pictures.read(data, tmp_path / "cache")
    (folder,) = (tmp_path / "cache" / pixel_cache.FOLDER).iterdir()
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    damaged = mangled(whole[name]) if name == pixel_cache.PIXELS else mangled_json(whole[name])

    def check(found: bytes) -> None:
        (folder / name).unlink()  # others may have it mapped
        (folder / name).write_bytes(found)
        again = pictures.read(data, tmp_path / "cache")
        assert torch.equal(again.images, sound.images)
        assert isinstance(again.pictures_hash, str)
        capfd.readouterr()

    tried(check, damaged | damaged.map(signed), few=20, many=many and 600)


def of_other_tensors(sound: bytes) -> st.SearchStrategy[bytes]:
    """Statistics with a tensor of another kind or size, or without one, under a sum that is right."""
    tensors = load(sound)
    about = json.loads(sound[8 : 8 + int.from_bytes(sound[:8], "little")])["__metadata__"]["about"]
    others = [torch.zeros(0), torch.zeros(3, 3), torch.full((8,), float("nan")), torch.tensor(7), torch.ones(2, 2) > 0]
    others += [torch.zeros(2, dtype=torch.float16), torch.tensor(-1), torch.zeros(1, 2, 3)]

    def changed(name: str, other: torch.Tensor | None) -> bytes:
        some = {key: one for key, one in tensors.items() if key != name} | ({} if other is None else {name: other})
        facts = {**json.loads(about), "sha256": reference._checksum(some)}
        return save(some, {"about": json.dumps(facts, sort_keys=True)})

    return st.builds(changed, st.sampled_from(sorted(tensors)), st.sampled_from([None, *others]))


@FEW_OR_MANY
def test_statistics_that_were_kept(tmp_path, many):
    torch.set_num_threads(1)
    extractor = features.small()
    made = Reference(PICTURES, extractor, tmp_path).real
    (path,) = (tmp_path / reference.FOLDER).iterdir()
    sound = path.read_bytes()
    facts = Reference(PICTURES, extractor, tmp_path).facts()

    def check(found: bytes) -> None:
        path.write_bytes(found)
        read = reference._read(path, facts, extractor)
        if read is not None:
            assert read.gaussian.n == made.gaussian.n
            assert read.gaussian.mean.shape == made.gaussian.mean.shape
            assert read.gaussian.covariance.shape == made.gaussian.covariance.shape
            assert read.sample.state()["features"].shape == made.sample.state()["features"].shape

    path.write_bytes(sound)
    assert reference._read(path, facts, extractor) is not None
    tried(check, mangled(sound) | of_other_tensors(sound), few=40, many=many)


SIZES = json.dumps({"alis": dict.fromkeys(sorted(importing.KNOWN_SIZES), 16), "stylegan2": {"resolution": 64}})


@FEW_OR_MANY
def test_sizes_of_a_network(many):
    def check(data: bytes) -> None:
        sizes: dict[str, Any] = {}
        refusal = ""
        try:
            told = importing.sizes_of(data, "alis")
            sizes = importing._complete(Path("net.pkl"), "alis", told)
        except MisuseError as error:
            refusal = str(error)
        assert len(refusal) < 2_000
        assert refusal.isprintable(), refusal
        assert all(isinstance(sizes[name], int) for name in importing._WHOLE if name in sizes)

    tried(check, mangled_json(SIZES.encode()), few=60, many=many)


@FEW_OR_MANY
def test_a_note_of_what_was_prepared(tmp_path, monkeypatch, many):
    monkeypatch.setattr(benchmark_data, "fingerprint", lambda *_: "f")
    found: Any = None
    sound = json.dumps({"fingerprint": "f", "export": "export-1"}).encode()

    def check(data: bytes) -> None:
        (tmp_path / benchmark_data.PREPARED).write_bytes(data)
        assert benchmark_data.prepared(found, tmp_path, 16, "smoke", None) is None  # there is no export

    tried(check, mangled_json(sound), few=40, many=many)
    shutil.rmtree(tmp_path)
