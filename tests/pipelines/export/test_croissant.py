"""croissant.json is valid Croissant 1.1, and its records can be read by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exporting import SIZE, export


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "zip", "webdataset", "parquet"])
def test_mlcroissant_accepts_the_description_and_reads_the_pictures(lhq, dataset, tmp_path, form):
    mlcroissant = pytest.importorskip("mlcroissant")
    out = tmp_path / "out"
    ran = lhq(*export(dataset, out, "--validation", 0.4, "--jpeg", 90, form=form))
    assert ran.code == 0, ran.err
    described = json.loads((out / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert described["license"] == ["https://creativecommons.org/licenses/by/4.0/"]
    program = Path(sys.executable).with_name("mlcroissant")
    command = [program, "validate", "--jsonld", out / "croissant.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower(), done.stderr
    read = mlcroissant.Dataset(str(out / "croissant.json"))
    pictures = [one for part in ("train", "validation") for one in read.records(part)]
    assert len(pictures) == 9
    assert next(iter(read.records("train")))["train/image"].size == (SIZE, SIZE)
    rows = list(read.records("attribution"))
    assert len(rows) == 9
    assert {row["attribution/license"] for row in rows} == {b"CC-BY-4.0"}
