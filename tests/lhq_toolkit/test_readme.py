"""The two commands of the README: `make test` runs every test, the demo ends well. Other files hold the rest of it:
test_roads.py what its commands do, site/test_pages.py what it names, site/test_build.py its links."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import leaderboard
from lhq_toolkit import demo

pytestmark = pytest.mark.usefixtures("own_cache")


def test_make_test_runs_every_folder_of_tests():
    root = Path(__file__).parents[2]
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    there = {path.relative_to(root).parts[1] for path in root.glob("tests/**/test_*.py")}
    assert {f"tests/{name}" for name in there} == set(listed)


@pytest.mark.slow
def test_the_demo_ends_with_a_contact_sheet_two_rows_and_a_panorama(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(demo, "RESOLUTION", 32)
    quick = ["images=32", "channel_base=128", "channel_max=8"]
    assert demo.main(tmp_path / "demo", scenes=30, settings=quick) == 0
    said = capfd.readouterr().out
    assert "invariance" in said
    assert "rejected" in said
    with Image.open(tmp_path / "demo" / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.convert("RGB").getcolors(2**24) or []) > 1000, "an empty sheet"
    assert len(list((tmp_path / "demo" / "pictures-32" / "images").iterdir())) > 60
    assert [row.model for row in leaderboard.read(tmp_path / "demo" / "leaderboard.csv")] == ["stylegan2", "alis"]
    with Image.open(tmp_path / "demo" / "panorama.png") as panorama:
        assert panorama.size == (8 * 32, 32)
        assert len(panorama.convert("RGB").getcolors(2**16) or []) > 500, "an empty panorama"
