"""Videos show the camera's views: without loss as WebP, nearly so as MP4 by a real encoder."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streaming import pixels, stream

from lhq_toolkit.panoramas import camera, video
from lhq_toolkit.panoramas.stream import Pixels
from manifests.errors import SetupError

PATH = camera.Path(64, 700, 9)
VIEWS = [pixels(64, PATH.view, 9 * at) for at in range(PATH.count)]


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one on PATH, or that of the package imageio-ffmpeg, under its usual name."""
    if (found := shutil.which("ffmpeg")) is None:
        package = pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg on PATH, nor the package imageio-ffmpeg")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "ffmpeg").symlink_to(found := package.get_ffmpeg_exe())
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return str(found)


def test_an_animated_webp_has_every_view_for_its_time_and_plays_on(tmp_path: Path) -> None:
    video.write_webp(tmp_path / "a.webp", PATH.views(stream(64, 700)), PATH.view, 64)
    with Image.open(tmp_path / "a.webp") as image:
        assert image.n_frames == PATH.count  # type: ignore[attr-defined]
        assert image.info["loop"] == 0
        shown = 0.0
        for at, view in enumerate(VIEWS):
            image.seek(at)
            assert np.array_equal(np.asarray(image.convert("RGB")), view)
            shown += image.info["duration"]
    assert abs(shown - 1000 * PATH.count / camera.RATE) < 1


def test_an_mp4_has_every_view_at_its_rate(tmp_path: Path, ffmpeg: str) -> None:
    out = tmp_path / "a: b.mp4"  # what stands before a colon is no protocol
    video.write_mp4(out, PATH.views(stream(64, 700)), PATH.view, 64)
    raw = subprocess.run(
        [ffmpeg, "-loglevel", "error", "-i", f"file:{out}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    found = np.frombuffer(raw, np.uint8).reshape(-1, 64, PATH.view, 3)
    assert len(found) == PATH.count
    for one, view in zip(found, VIEWS, strict=True):
        assert np.abs(one.astype(int) - view).mean() < 6
    told = subprocess.run([ffmpeg, "-i", f"file:{out}"], capture_output=True, text=True, check=False).stderr
    assert "h264" in told
    assert f"{camera.RATE} fps" in told


@pytest.mark.usefixtures("ffmpeg")
def test_an_encoder_that_ends_early_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    views = (pixels(64, 113, at) for at in range(2000))  # an odd width has no yuv420p
    (tmp_path / "out").mkdir()
    with pytest.raises(SetupError, match="ffmpeg"):
        video.write_mp4(tmp_path / "out" / "a.mp4", views, 113, 64)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("ffmpeg")
def test_a_full_disk_under_the_encoder_is_a_full_disk(small_disk: Path) -> None:
    noise = np.random.default_rng(0)

    def views() -> Iterator[Pixels]:
        for _ in range(2000):
            yield noise.integers(0, 256, (64, 114, 3), np.uint8)

    with pytest.raises(OSError, match="No space left") as caught:
        video.write_mp4(small_disk / "a.mp4", views(), 114, 64)
    assert Path(caught.value.filename).name == "a.mp4"
    assert list(small_disk.iterdir()) == []


def test_without_an_encoder_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="webp"):
        video.write_mp4(tmp_path / "a.mp4", iter(VIEWS), PATH.view, 64)
    assert list(tmp_path.iterdir()) == []


def test_a_webp_never_grows_beyond_what_its_header_can_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "LARGEST_WEBP", 20_000)

    def views() -> Iterator[Pixels]:
        yield from VIEWS
        raise AssertionError("it went on")

    with pytest.raises(SetupError, match="mp4"):
        video.write_webp(tmp_path / "a.webp", views(), PATH.view, 64)
    assert list(tmp_path.iterdir()) == []
