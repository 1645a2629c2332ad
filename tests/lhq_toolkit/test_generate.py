"""`lhq generate` as a user runs it: every kind of file, every edit, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from endless import untrained_run
from PIL import Image
from running import lhq_command

from benchmarks import networks, runs
from benchmarks.worlds import World
from lhq_toolkit import cli
from lhq_toolkit.panoramas import camera
from models.anchors import OWN, Anchors, redrawn, swapped

pytestmark = pytest.mark.slow
SEED = 3
START, FRAMES = -3, 10  # of the panorama that most of them draw
ALIS = {"patches": 4, "input_resolution": 4}

Generate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """An ALIS of 16x16."""
    return untrained_run(tmp_path_factory.mktemp("generate") / "run", "alis", **ALIS)


@pytest.fixture
def generate(run, capsys, monkeypatch) -> Generate:
    """The command in this process; its JSON."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the command sets is put back

    def made(out: Path, *options: object) -> dict[str, Any]:
        words = ["generate", run, "-o", out, "--seed", SEED, "--threads", 1, "--device", "cpu", "--json", *options]
        assert cli.run([str(word) for word in words]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return made


def pixels(path: Path) -> Any:
    """uint8 [height, width, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def panorama(run: Path, anchors: Anchors = OWN, start: int = START, frames: int = FRAMES) -> Any:
    """What the network makes, without files: uint8 [height, width, 3]."""
    generator = runs.open_checkpoint(run, torch.device("cpu"), "last").generator
    assert not isinstance(generator, networks.stylegan2.Generator)
    world = World(generator, SEED, 1.0, anchors)
    strip = torch.cat(list(world.blocks(start * world.frame_columns, frames * world.frame_columns)), 2)
    return strip.permute(1, 2, 0).numpy()


ASKED = ["--panorama", FRAMES, "--start", START]


def test_every_kind_of_file_has_the_pixels_of_the_panorama(run, generate, tmp_path):
    expected = panorama(run)
    for name in ("a.png", "a.webp"):
        assert generate(tmp_path / name, *ASKED)["files"] == [str(tmp_path / name)]
        assert np.array_equal(pixels(tmp_path / name), expected)
    for kind in ("png", "webp"):
        files = generate(tmp_path / kind, *ASKED, "--strips", kind)["files"]
        assert [Path(file).name for file in files] == [f"strip-00000.{kind}", "index.html"]
        assert np.array_equal(pixels(Path(files[0])), expected)
    tiled = generate(tmp_path / "a.dzi", *ASKED)
    assert tiled["files"] == [str(tmp_path / "a.dzi"), str(tmp_path / "a_files")]
    assert (tiled["width"], tiled["height"]) == (160, 16)
    assert np.array_equal(pixels(tmp_path / "a_files" / "8" / "0_0.png"), expected)
    names = {"a.png", "a.webp", "png", "webp", "a.dzi", "a_files"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_video_shows_the_panorama_as_a_camera_passes(run, generate, tmp_path):
    made = generate(tmp_path / "a.webp", *ASKED, "--pan", "20")
    way = camera.Path(16, 160, 11)
    assert made["pictures"] == way.count
    assert made["speed"] == pytest.approx(20.6, abs=0.1)
    expected = panorama(run)
    with Image.open(tmp_path / "a.webp") as image:
        for at in range(way.count):
            image.seek(at)
            assert np.array_equal(np.asarray(image.convert("RGB")), expected[:, 11 * at : 11 * at + way.view])


def test_resampling_and_swapping_leave_the_rest_bit_for_bit(run, generate, tmp_path):
    """Figure 11 of the paper. The files tell the frames that changed."""
    generate(tmp_path / "before.png", *ASKED)
    before = pixels(tmp_path / "before.png")
    for name, option, edits in (
        ("a.png", ["--resample", "-1:1:77"], (redrawn(-1, 1, 77),)),
        ("b.png", ["--swap", "-1:2:1"], swapped(SEED, -1, 2, 1)),
    ):
        made = generate(tmp_path / name, *ASKED, *option)
        after = pixels(tmp_path / name)
        assert np.array_equal(after, panorama(run, Anchors(edits=edits)))
        changed = (before != after).any((0, 2)).reshape(FRAMES, 16).any(1)
        told = {frame for edit in made["edits"] for frame in range(*edit["frames"])}
        assert {START + int(frame) for frame in np.flatnonzero(changed)} == told & set(range(START, START + FRAMES))
        assert 0 < changed.sum() < FRAMES


def test_frames_that_are_connected_stand_in_the_panorama_as_in_their_files(generate, tmp_path):
    generate(tmp_path / "frames", "--frames", 3)
    made = generate(tmp_path / "a.png", "--connect", f"{SEED}-00002,99,{SEED}-00000")
    assert made["width"] == 6 * 2 * 16  # 7 anchors
    found = pixels(tmp_path / "a.png").astype(int)
    for edit, number in ((made["edits"][0], 2), (made["edits"][2], 0)):
        frame = pixels(tmp_path / "frames" / f"{SEED}-0000{number}.png")
        at = edit["frame_at"]
        assert np.abs(found[:, at : at + 16] - frame).max() <= 1


@pytest.mark.parametrize("way", [["--nearest", 4], ["--clusters", 3], ["--truncation", 0.5]])
def test_calmer_panoramas_are_the_same_wherever_they_begin(generate, tmp_path, way):
    generate(tmp_path / "whole.png", *ASKED, *way)
    generate(tmp_path / "part.png", "--panorama", 3, "--start", START + 5, *way)
    generate(tmp_path / "free.png", *ASKED)
    whole, part, free = (pixels(tmp_path / f"{name}.png") for name in ("whole", "part", "free"))
    assert np.array_equal(part, whole[:, 5 * 16 : 8 * 16])
    assert not np.array_equal(whole, free)


def test_the_figure_of_shifted_anchors_tells_how_they_agree(run, generate, tmp_path):
    made = generate(tmp_path / "a.png", "--equivariance", "--start", 1)
    assert made["shifts"] == [0, 4, 8, 12]
    assert made["relative_difference"] < 1e-5
    found = pixels(tmp_path / "a.png")
    assert np.abs(found[:16, :16].astype(int) - panorama(run, start=1, frames=1)).max() <= 1


def test_frames_go_on_where_a_killed_command_stopped(run, generate, tmp_path, capsys):
    out = tmp_path / "out"
    generate(out, "--frames", 3)
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in sorted(whole)[1:]:
        (out / name).unlink()
    generate(out, "--frames", 3)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    first, _, last = sorted(whole)
    (out / last).unlink()
    (out / first).write_bytes(b"mine")
    words = ["generate", str(run), "-o", str(out), "--seed", str(SEED), "--frames", "3", "--threads", "1"]
    assert cli.run(words) == 2
    assert f"{first} exists" in capsys.readouterr().err
    assert ((out / first).read_bytes(), (out / last).exists()) == (b"mine", False)


def test_what_is_there_is_never_written_over(run, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a_files").mkdir()
    for name in ("a.png", "a.webp", "b.dzi"):
        (tmp_path / name).write_bytes(b"mine")
    before = sorted(tmp_path.rglob("*"))
    for name, more in (("a.png", []), ("a.webp", []), ("a.webp", ["--pan", "1"]), ("folder", []), ("a.dzi", [])):
        assert cli.run(["generate", str(run), "-o", str(tmp_path / name), "--panorama", "3", *more]) == 2
        assert "exists" in capsys.readouterr().err
    assert cli.run(["generate", str(run), "-o", str(tmp_path / "b.dzi"), "--panorama", "3"]) == 2
    assert cli.run(["generate", str(run), "-o", str(tmp_path / "a.png"), "--equivariance"]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "a.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "{new}"], "--equivariance"),
        (["-o", "{new}", "--frames", "2", "--panorama", "2"], "one of"),
        (["-o", "{new}.gif", "--panorama", "2"], ".dzi"),
        (["-o", "{new}.png", "--panorama", "2", "--pan", "1"], ".mp4"),
        (["-o", "{new}.jpg", "--equivariance"], ".png"),
        (["-o", "{new}", "--frames", "2", "--nearest", "4"], "--panorama"),
        (["-o", "{new}", "--frames", "2", "--pan", "1"], "--pan"),
        (["-o", "{new}.png", "--connect", "1,2", "--start", "4"], "--start"),
        (["-o", "{new}.png", "--panorama", "2", "--strips", "webp"], "--strips"),
        (["-o", "{new}.webp", "--panorama", "1100"], "--strips webp"),
        (["-o", "{new}.png", "--panorama", "70000"], "tiled pyramid"),
        (["-o", "{new}.webp", "--panorama", "1", "--pan", "1"], "wider"),
        (["-o", "{new}.png", "--panorama", "2", "--resample", "1:1"], "FIRST:COUNT:SEED"),
    ],
)
def test_misuse_is_told_in_one_line(run, tmp_path, capsys, arguments, says):
    words = [word.format(new=tmp_path / "new") for word in arguments]
    assert cli.run(["generate", str(run), *words]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") <= 4
    assert list(tmp_path.iterdir()) == []


def test_models_say_what_they_have_not(tmp_path, capsys):
    loco, single = (untrained_run(tmp_path / model, model) for model in ("locogan", "stylegan2"))
    out = tmp_path / "a.png"
    assert cli.run(["generate", str(loco), "-o", str(out), "--panorama", "3"]) == 0
    assert pixels(out).shape == (16, 48, 3)
    assert cli.run(["generate", str(loco), "-o", str(tmp_path / "e.png"), "--equivariance"]) == 0
    for option in (["--resample", "1:1:2"], ["--swap", "1:3:1"], ["--nearest", "4"], ["--clusters", "4"]):
        assert cli.run(["generate", str(loco), "-o", str(tmp_path / "b.png"), "--panorama", "3", *option]) == 2
        assert "no anchors" in capsys.readouterr().err
    assert cli.run(["generate", str(loco), "-o", str(tmp_path / "b.png"), "--connect", "1,2"]) == 2
    for option in (["--panorama", "3"], ["--equivariance"], ["--connect", "1,2"]):
        assert cli.run(["generate", str(single), "-o", str(tmp_path / "b.png"), *option]) == 2
        assert "--frames" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("name", ["a.png", "a.dzi", "strips"])
def test_a_disk_that_fills_while_pictures_stream_leaves_no_part_under_a_name(run, small_disk, capsys, name):
    """100 kB are left; 300 frames of 16x16 are 230 kB, and hardly less when they are packed."""
    (small_disk / "filler").write_bytes(bytes(924 * 1024))
    out = ["-o", str(small_disk / name), "--device", "cpu"]
    assert cli.run(["generate", str(run), "--panorama", "300", *out]) == 1
    told = capsys.readouterr().err
    assert "the disk is full" in told
    assert name in told
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["filler"]
    used = subprocess.run(["df", "--output=used", small_disk], capture_output=True, check=True).stdout.split()[-1]
    assert int(used) < 940


def test_a_disk_that_fills_leaves_whole_frames_and_the_same_command_makes_the_rest(run, small_disk, capsys):
    """100 kB are left; each of 300 frames takes a page of the disk at least."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(924 * 1024))
    command = ["generate", str(run), "-o", str(small_disk / "frames"), "--frames", "300", "--device", "cpu"]
    assert cli.run(command) == 1
    assert "the disk is full" in capsys.readouterr().err
    made = sorted(path.name for path in (small_disk / "frames").iterdir())
    assert 0 < len(made) < 300
    assert all(pixels(small_disk / "frames" / name).shape == (16, 16, 3) for name in made)
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert cli.run(command) == 0
    assert len(list((small_disk / "frames").iterdir())) == 300


@pytest.mark.long
def test_two_thousand_frames_at_64_pixels_stream_in_flat_memory_and_open(tmp_path):
    """98 MB of numbers, 25 MB of pixels; the process grows by a fraction of them."""
    run = untrained_run(tmp_path / "run", "alis", resolution=64, **ALIS)
    grown = {}
    for frames in (20, 2000):
        out = tmp_path / f"{frames}.png"
        words = ["generate", run, "-o", out, "--panorama", frames, "--threads", 1, "--device", "cpu"]
        process = subprocess.Popen(lhq_command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        grown[frames] = used.ru_maxrss * 1024
    assert grown[2000] - grown[20] < 12 * 2**20
    assert pixels(tmp_path / "2000.png").shape == (64, 128_000, 3)
    assert np.array_equal(pixels(tmp_path / "2000.png")[:, : 20 * 64], pixels(tmp_path / "20.png"))
