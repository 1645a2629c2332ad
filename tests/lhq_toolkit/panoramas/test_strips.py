"""Strips side by side are the panorama."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streaming import pixels, stream

from lhq_toolkit.panoramas import strips
from manifests.errors import MisuseError


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "webp"])
def test_strips_are_whole_frames_without_loss_and_the_page_names_them_in_order(tmp_path: Path, kind: str) -> None:
    height, width = 64, 2 * strips.STRIP_WIDTH + 201
    paths = strips.write(tmp_path / "out", stream(height, width, 4000), kind)  # type: ignore[arg-type]
    assert [path.name for path in paths] == [f"strip-0000{at}.{kind}" for at in range(3)] + ["index.html"]
    left = 0
    for path in paths[:-1]:
        with Image.open(path) as image:
            found = np.asarray(image.convert("RGB"))
        assert left % height == 0
        assert found.shape[1] <= strips.STRIP_WIDTH
        assert np.array_equal(found, pixels(height, found.shape[1], left))
        left += found.shape[1]
    assert left == width
    page = paths[-1].read_text()
    assert re.findall(r'src="([^"]+)" width="(\d+)"', page) == [
        (path.name, str(Image.open(path).width)) for path in paths[:-1]
    ]
    assert "script" not in page


def test_a_name_of_a_folder_is_text_in_the_page(tmp_path: Path) -> None:
    strips.write(tmp_path / "<b>&", stream(8, 8))
    assert "<title>&lt;b&gt;&amp;</title>" in (tmp_path / "<b>&" / "index.html").read_text()


def test_one_webp_has_the_pixels_and_one_that_is_too_wide_is_refused(tmp_path: Path) -> None:
    strips.write_webp(tmp_path / "a.webp", stream(8, strips.LARGEST_WEBP))
    with Image.open(tmp_path / "a.webp") as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels(8, strips.LARGEST_WEBP))
    with pytest.raises(MisuseError, match="folder"):
        strips.write_webp(tmp_path / "b.webp", stream(8, strips.LARGEST_WEBP + 1))
    assert not (tmp_path / "b.webp").exists()
