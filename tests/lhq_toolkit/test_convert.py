"""`lhq convert`: what it prints is what the written function takes."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import pytest
import tiny
import torch

from benchmarks import checkpoints, networks, recipes
from lhq_toolkit import cli


def _run(*arguments: object) -> int:
    """A command in this process."""
    return cli.run([str(one) for one in arguments])


@pytest.fixture
def run(tmp_path) -> Path:
    """A run of a small ALIS."""
    recipe = tiny.recipe("alis", patches=4, input_resolution=4)
    generator, _ = networks.build(recipe)
    run = tmp_path / "RUN"
    run.mkdir()
    recipes.save(recipe, run)
    checkpoints.sweep(run)
    tensors = {f"average.{name}": value.contiguous() for name, value in generator.state_dict().items()}
    checkpoints.save(run, 0, tensors, {"step": 0, "devices": {}})
    return run


@pytest.mark.slow
def test_a_run_becomes_a_program_that_takes_what_was_printed(run, tmp_path, capsys):
    out = tmp_path / "OUT" / "net.pt2"
    assert _run("convert", run, "-o", out, "--inputs", "styles", "--json") == cli.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["inputs"]["left"] == ["n", 7, 8]
    assert told["inputs"]["column"] == ["n"]
    assert "truncation" not in told["inputs"]
    inputs = {name: torch.zeros([3 if one == "n" else one for one in size]) for name, size in told["inputs"].items()}
    network = torch.export.load(out).module()
    assert network(*(inputs | {"column": torch.arange(3)}).values()).shape == (3, 3, 16, 4)
    assert [path.name for path in out.parent.iterdir()] == ["net.pt2"]
    before = out.read_bytes()
    assert _run("convert", run, "-o", out) == cli.MISUSE
    assert "exists; choose another name" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_another_ending_is_refused(run, tmp_path, capsys):
    assert _run("convert", run, "-o", tmp_path / "net.pth") == cli.MISUSE
    assert ".onnx or .pt2" in capsys.readouterr().err


def test_a_missing_package_for_onnx_is_named_and_nothing_is_left(run, tmp_path, capsys, monkeypatch):
    usual = builtins.__import__

    def without(name, *more, **named):
        if name == "onnxscript":
            raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")
        return usual(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert _run("convert", run, "-o", tmp_path / "OUT" / "net.onnx") == cli.FAILED
    assert "ONNX needs a package that is not here (onnxscript): pip install onnx onnxscript" in capsys.readouterr().err
    assert list((tmp_path / "OUT").iterdir()) == []
