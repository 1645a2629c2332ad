"""`lhq import` as a user runs it: a published file to pictures; hostile ones to one line."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import published_pickle
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lhq_toolkit import cli

GOLDEN = Path(__file__).parents[1] / "models" / "golden"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Path:
    """A .pkl of the published structure with a network of 64x64."""
    tensors = load_file(GOLDEN / "alis_grid2.safetensors")
    half = {name: one for name, one in tensors.items() if name.startswith("G.")}
    stored = published_pickle.networks(half, patchwise={"grid_size": 2, "w_coord_dist": 4}, float16_from=8)
    return published_pickle.write(tmp_path_factory.mktemp("published") / "snapshot.pkl", stored)


def _run(*arguments: object) -> int:
    """A command in this process."""
    return cli.run([str(one) for one in arguments])


@pytest.fixture(scope="module")
def imported(snapshot, lhq) -> Path:
    """The run that the command made of it."""
    run = snapshot.parent / "RUN"
    ran = lhq("import", snapshot, "--model", "alis", "-o", run)
    assert ran.code == 0, ran.err
    assert "alis at 64x64, G_ema of snapshot.pkl" in ran.out
    assert "from 8x8 on, as published in float16 (--float16-styles-from)" in ran.out
    return run


@pytest.mark.slow
def test_an_imported_network_draws_a_panorama(imported, lhq, tmp_path):
    ran = lhq("generate", imported, "-o", tmp_path / "panorama.png", "--panorama", 3)
    assert ran.code == 0, ran.err
    with Image.open(tmp_path / "panorama.png") as image:
        assert image.size == (192, 64)


@pytest.mark.slow
def test_safetensors_take_their_sizes_from_a_file_of_many(lhq, tmp_path, capsys):
    arguments = [GOLDEN / "alis_grid16.safetensors", "--sizes", GOLDEN / "meta.json", "-o", tmp_path / "RUN"]
    ran = lhq("import", *arguments, "--model", "alis_grid16", "--float16-styles-from", 32, "--json")
    assert ran.code == 0, ran.err
    recipe = json.loads((tmp_path / "RUN" / "recipe.json").read_bytes())
    assert (recipe["model"], recipe["patches"], recipe["float16_styles_from"]) == ("alis", 16, 32)
    assert ran.json["imported"] == recipe["imported"]
    assert _run("import", *arguments, "--model", "alis_grid16") == cli.MISUSE
    assert "is there already" in capsys.readouterr().err


class _Gadget:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_hostile_files_end_with_one_line_and_nothing_run(snapshot, tmp_path, capsys):
    marker = tmp_path / "it-was-run"
    (tmp_path / "hostile.pkl").write_bytes(pickle.dumps({"G_ema": _Gadget(marker)}))
    (tmp_path / "hostile.safetensors").write_bytes(pickle.dumps({"G.synthesis.a": _Gadget(marker)}))
    torch.save({"G.synthesis.a": _Gadget(marker)}, tmp_path / "hostile.pt")
    (tmp_path / "cut.pkl").write_bytes(snapshot.read_bytes()[:-1000])
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, told in {
        "hostile.pkl": "asks for posix.system",
        "hostile.safetensors": "holds no plain weights",
        "hostile.pt": "must end in .pkl or .safetensors",
        "cut.pkl": "is cut short",
        "other.safetensors": "holds no generator",
        "none.pkl": "is not there",
    }.items():
        code = cli.MISUSE if name == "none.pkl" else cli.FAILED
        assert _run("import", tmp_path / name, "--model", "alis", "-o", tmp_path / "RUN") == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"lhq: {tmp_path / name}")
        assert told in line
    assert not marker.exists()
    assert not (tmp_path / "RUN").exists()


def test_what_is_called_wrongly_says_what_is_right(snapshot, tmp_path, capsys):
    out = ["-o", tmp_path / "RUN"]
    (tmp_path / "empty.json").write_text("{}")
    for arguments, told in {
        ("--model", "biggan"): "published weights are known for stylegan2 and alis",
        ("--model", "discriminator"): "a run needs a generator",
        ("--model", "alis", "--sizes", tmp_path / "none.json"): "cannot be read",
        ("--model", "alis", "--sizes", tmp_path / "empty.json"): "no sizes of alis",
        ("--model", "stylegan2", "--float16-styles-from", 8): "leave it out",
    }.items():
        assert _run("import", snapshot, *arguments, *out) == cli.MISUSE
        assert told in capsys.readouterr().err
    assert not (tmp_path / "RUN").exists()
