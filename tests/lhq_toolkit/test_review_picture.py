"""The README's picture of the review page is a real one, and small."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from reviewing import BROWSER

from lhq_toolkit import review_picture

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_readme_is_small():
    assert (ROOT / review_picture.OUT).stat().st_size < 200_000


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_it_is_drawn_from_a_review_that_really_ran(tmp_path, monkeypatch, capsys):
    pytest.importorskip("playwright", reason="playwright is not installed")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(review_picture, "SCENES", 4)
    assert review_picture.main(tmp_path / "review.jpg") == 0
    assert "review.jpg" in capsys.readouterr().out
    with Image.open(tmp_path / "review.jpg") as picture:
        assert picture.width == review_picture.WIDTH
        colours = picture.convert("RGB").getcolors(2**24) or []
    assert len(colours) > 5000, "photographs, and no empty page"
