"""croissant.json is valid Croissant 1.1, and its records can be read by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exporting import SIZE, export

READ = """
import json, sys, mlcroissant
read = mlcroissant.Dataset(sys.argv[1])
pictures = {part: [one[f"{part}/image"].size for one in read.records(part)] for part in ("train", "validation")}
licences = [row["attribution/license"].decode() for row in read.records("attribution")]
print(json.dumps({"pictures": pictures, "licences": licences}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "zip", "webdataset", "parquet"])
def test_mlcroissant_accepts_the_description_and_reads_the_pictures(lhq, dataset, tmp_path, form):
    out = tmp_path / "out"
    ran = lhq(*export(dataset, out, "--validation", 0.4, "--jpeg", 90, form=form))
    assert ran.code == 0, ran.err
    described = json.loads((out / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert described["license"] == ["https://creativecommons.org/licenses/by/4.0/"]
    program = Path(sys.executable).with_name("mlcroissant")
    validate = [program, "validate", "--jsonld", out / "croissant.json"]
    done = subprocess.run(validate, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower(), done.stderr
    own_cache = {**os.environ, "CROISSANT_CACHE": str(tmp_path / "cache")}  # it finds archives there by name alone
    read = [sys.executable, "-c", READ, out / "croissant.json"]
    done = subprocess.run(read, capture_output=True, text=True, check=False, env=own_cache)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    sizes = [*found["pictures"]["train"], *found["pictures"]["validation"]]
    assert sizes == [[SIZE, SIZE]] * 9
    assert found["licences"] == ["CC-BY-4.0"] * 9
