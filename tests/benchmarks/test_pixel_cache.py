"""Exports of every format are read alike; decoded once, then mapped; what is damaged or changed is named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from trainable import exports_of, first_shard

from benchmarks import exports, measure, picture_readers, pictures, pixel_cache
from manifests.errors import SetupError
from models import features

FORMS = ("folder", "zip", "webdataset", "parquet")
READ = "import sys; from pathlib import Path; from benchmarks import pictures; pictures.read(*map(Path, sys.argv[1:]))"


@pytest.fixture(scope="module")
def made(lhq, tmp_path_factory) -> dict[str, Path]:
    return exports_of(lhq, tmp_path_factory.mktemp("exports"), FORMS)


@pytest.fixture
def export(made, tmp_path) -> Callable[[str], Path]:
    """A copy of an export, for tests that change it."""
    return lambda form: Path(shutil.copytree(made[form], tmp_path / form))


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Bytes of every picture that is decoded."""
    seen: list[int] = []

    def counted(content: bytes) -> object:
        seen.append(len(content))
        return decode(content)

    decode = pixel_cache.decode
    monkeypatch.setattr(pixel_cache, "decode", counted)
    return seen


@pytest.fixture
def photos(tmp_path) -> Path:
    return tiny.write(tmp_path / "photos", tiny.images(12))


def only_folder(cache: Path) -> Path:
    (folder,) = (cache / "pictures").iterdir()
    return folder


@pytest.mark.slow
def test_every_format_gives_the_pixels_of_the_files_in_their_order_and_one_hash(made, tmp_path):
    files = sorted((made["folder"] / "images").iterdir())
    pixels = np.stack([np.asarray(Image.open(path)) for path in files]).transpose(0, 3, 1, 2)
    assert 4 < len(files) < 24, "a part is held back"
    assert len(list(made["parquet"].glob("train-*"))) == len(list(made["webdataset"].glob("shard-*"))) > 2
    whole = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()
    for form in FORMS:
        read = pictures.read(made[form], tmp_path)
        assert np.array_equal(read.images.numpy(), pixels), form
        assert (read.dataset, read.subset, read.resolution) == ("d", "curated", 32)
        assert read.pictures_hash == whole
    assert len(list((tmp_path / "pictures").iterdir())) == len(FORMS)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_second_read_decodes_nothing_and_maps_the_file(made, tmp_path, decoded, form):
    told: list[tuple[int, int]] = []
    first = pictures.read(made[form], tmp_path, lambda *done: told.append(done))
    count = len(first.images)
    assert len(decoded) == count
    assert told[-1] == (count, count)
    again = pictures.read(made[form], tmp_path)
    assert len(decoded) == count
    assert torch.equal(again.images, first.images)
    assert again.facts() == first.facts()
    pixels = only_folder(tmp_path) / "pixels.u8"
    assert pixels.stat().st_size == count * 3 * 32 * 32
    assert str(pixels) in Path("/proc/self/maps").read_text()


@pytest.mark.slow
def test_an_export_at_another_place_is_read_but_not_decoded_again(export, tmp_path, decoded):
    out = export("webdataset")
    first = pictures.read(out, tmp_path / "cache")
    count = len(decoded)
    moved = Path(shutil.copytree(out, tmp_path / "moved", copy_function=shutil.copyfile))  # with new times
    assert torch.equal(pictures.read(moved, tmp_path / "cache").images, first.images)
    assert len(decoded) == count
    about = json.loads((only_folder(tmp_path / "cache") / "about.json").read_text())["about"]
    assert about["source"] == str(moved)
    shard = first_shard(moved)
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    with pytest.raises(SetupError, match=f"{shard.name} is not the file that was exported"):
        pictures.read(moved, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_changed_or_incomplete_export_is_refused_after_it_was_kept(export, tmp_path, form):
    out, cache = export(form), tmp_path / "cache"
    pictures.read(out, cache)
    pattern = {"folder": "images/*", "zip": "dataset.zip", **exports.SHARDS}[form]
    victim = sorted(out.glob(pattern))[-1]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SetupError, match=f"{victim.name} is not the file"):
        pictures.read(out, cache)
    victim.unlink()
    with pytest.raises(SetupError, match=f"not whole.*{victim.name}"):
        pictures.read(out, cache)
    victim.write_bytes(whole)
    assert len(pictures.read(out, cache).images) > 4
    if form != "zip":
        extra = victim.with_name(victim.name.replace("0", "9", 1))
        extra.write_bytes(whole)
        with pytest.raises(SetupError, match=f"new, such as .*{extra.name}"):
            pictures.read(out, cache)


def test_a_folder_with_other_pictures_is_decoded_again_in_its_place(photos, tmp_path, decoded):
    pictures.read(photos, tmp_path / "cache")
    Image.new("RGB", (16, 16)).save(photos / "0003.png")
    read = pictures.read(photos, tmp_path / "cache")
    assert len(decoded) == 24
    assert not read.images[3].any()
    only_folder(tmp_path / "cache")


def test_pictures_that_change_while_they_are_read_are_not_kept(photos, tmp_path):
    with pytest.raises(SetupError, match="changed while it was read"):
        pictures.read(photos, tmp_path / "cache", lambda *_: os.utime(photos / "0003.png", ns=(0, 0)))
    assert [path.name for path in only_folder(tmp_path / "cache").iterdir()] == ["locks"]
    assert len(pictures.read(photos, tmp_path / "cache").images) == 12


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("pixels.u8", _flip),
        ("pixels.u8", lambda path: path.write_bytes(path.read_bytes()[:-1])),
        ("pixels.u8", lambda path: path.write_bytes(b"")),
        ("about.json", lambda path: path.write_bytes(b"\x80\x04 a pickle that nobody opens")),
        ("about.json", lambda path: path.write_text(re.sub('_hash": ".', '_hash": "g', path.read_text()))),
        ("about.json", lambda path: path.write_text('{"about": {}}')),
        ("about.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_cache_is_noticed_and_made_again(photos, tmp_path, decoded, capsys, name, damage):
    first = pictures.read(photos, tmp_path / "cache")
    path = only_folder(tmp_path / "cache") / name
    whole, pixels = path.read_bytes(), first.images.clone()
    damage(Path(shutil.copy(path, tmp_path / name)))  # what is mapped here is not cut off below our feet
    (tmp_path / name).replace(path)
    read = pictures.read(photos, tmp_path / "cache")
    assert torch.equal(read.images, pixels)
    assert read.facts() == first.facts()
    assert path.read_bytes() == whole
    assert len(decoded) == 24
    assert "is damaged" in capsys.readouterr().err


def test_pixels_of_other_decoders_are_made_again(photos, tmp_path, decoded, monkeypatch):
    pictures.read(photos, tmp_path / "cache")
    monkeypatch.setattr(pixel_cache, "decoders", lambda: "another Pillow")
    pictures.read(photos, tmp_path / "cache")
    assert len(decoded) == 24


def reading(data: Path, cache: Path, **more: object) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READ, str(data), str(cache)]
    return subprocess.Popen(command, env=env | more, stderr=subprocess.PIPE, text=True)  # type: ignore[call-overload]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["pictures.inside:5", "pictures.before_name"])
def test_a_killed_read_leaves_no_half_cache_and_the_next_one_works(photos, tmp_path, point):
    killed = reading(photos, tmp_path / "cache", LHQ_FAULT=point)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    folder = only_folder(tmp_path / "cache")
    assert not (folder / "about.json").exists()
    assert (folder / "pixels.u8").exists() == (point == "pictures.before_name")
    assert torch.equal(pictures.read(photos, tmp_path / "cache").images, tiny.images(12))
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "locks", "pixels.u8"]


@pytest.mark.slow
def test_two_processes_that_make_the_same_cache_both_end_well(tmp_path):
    data = tiny.write(tmp_path / "photos", tiny.images(1500))
    both = [reading(data, tmp_path / "cache") for _ in range(2)]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert torch.equal(pictures.read(data, tmp_path / "cache").images, tiny.images(1500))


@pytest.mark.slow
def test_a_second_process_waits_for_the_first_and_uses_what_it_made(photos, tmp_path, decoded, capsys):
    source = exports.find(photos)
    folder = tmp_path / "cache" / "pictures" / source.key
    with pixel_cache._alone(folder):
        waiting = reading(photos, tmp_path / "cache")
        line = waiting.stderr.readline()
        assert "waiting" in line, line
        with picture_readers.pieces(source) as found:
            pixel_cache._make(folder, source, found, None)
    times = (folder / "pixels.u8").stat().st_mtime_ns
    assert (waiting.communicate(timeout=60), waiting.returncode) == ((None, ""), 0)
    assert (folder / "pixels.u8").stat().st_mtime_ns == times


def test_a_full_disk_is_met_before_the_work_and_named(photos, tmp_path, decoded):
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", place], check=False).returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        with pytest.raises(SetupError, match=r"cannot be kept in .*No space left.*LHQ_CACHE"):
            pictures.read(photos, place)
        assert not [path for path in place.rglob("*") if path.suffix == ".u8"]
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    assert decoded == []


def test_a_cache_that_cannot_be_written_is_named(photos, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    with pytest.raises(SetupError, match="LHQ_CACHE"):
        pictures.read(photos, tmp_path / "cache")


def test_measuring_all_pictures_reads_them_batch_by_batch(tmp_path):
    data = tiny.write(tmp_path / "photos", tiny.images(100))
    images = pictures.read(data, tmp_path / "cache").images
    small, seen = features.small(), []

    def network(batch: torch.Tensor) -> torch.Tensor:
        seen.append(len(batch))
        return small.network(batch)

    real = measure.real_statistics(images, dataclasses.replace(small, network=network))
    assert real.gaussian.n == sum(seen) == 100
    assert max(seen) == measure.BATCH
