"""An export goes on in a folder whose files anybody may have changed: it ends whole, or in one line that names it."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import tiny
from hypothesis import strategies as st
from mangling import FEW_OR_MANY, mangled, mangled_json, mangled_lines, tried

from manifests.dataset import Dataset
from manifests.errors import LhqError, SetupError
from pipelines.engine.pool import InProcess
from pipelines.export import zip_
from pipelines.export.run import run
from pipelines.export.wanted import Wanted
from pipelines.export.webdataset import WebDataset
from pipelines.filter import existing

pytestmark = pytest.mark.slow  # each example is an export

FORMS = ("folder", "zip", "webdataset", "parquet")


@pytest.fixture(scope="module")
def dataset(lhq, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    tiny.write(place / "photos", tiny.images(3))
    assert lhq("crawl", place / "d", "--source", "folder", "--path", place / "photos", "--workers", 0).code == 0
    return place / "d"


@pytest.mark.parametrize("form", FORMS)
@FEW_OR_MANY
def test_a_folder_that_an_export_goes_on_in(dataset, tmp_path, form, many):
    def export() -> None:
        opened = Dataset.open(dataset)
        run(opened, existing(opened, "curated"), str(out), Wanted(form, 16), InProcess(), "test")

    whole, out = tmp_path / "whole", tmp_path / "box" / "out"
    out.parent.mkdir()
    export()
    out.rename(whole)
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())

    def check(data: st.DataObject) -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, out)
        (tmp_path / "box" / "x").write_text("not ours")
        path = out / data.draw(st.sampled_from(names))
        kinds = {".json": mangled_json, ".jsonl": mangled_lines}
        path.write_bytes(data.draw(kinds.get(path.suffix, mangled)(path.read_bytes())))
        if data.draw(st.booleans()):
            (out / data.draw(st.sampled_from(names))).unlink(missing_ok=True)
        refusal = ""
        try:
            export()
        except LhqError as error:
            refusal = str(error)
        assert not refusal or (str(out) in refusal and "\n" not in refusal), refusal
        assert {one.name for one in out.parent.iterdir()} == {"out", "x"}

    tried(check, st.data(), few=8, many=many and 300)


def test_archives_that_would_unpack_to_more_than_they_have_are_refused(tmp_path):
    sparse, packed = tmp_path / "shard.tar", tmp_path / "dataset.zip"
    with tarfile.open(sparse, "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("00000.png")
        entry.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "00000.png"}
        entry.pax_headers |= {
            "GNU.sparse.size": str(2**40),
            "GNU.sparse.numblocks": "1",
            "GNU.sparse.map": f"{2**40},0",
        }
        archive.addfile(entry)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("00000.png", bytes(10_000_000))
    with pytest.raises(SetupError, match=r"shard\.tar is damaged \(its members are not all plain files"):
        WebDataset(".png", 16, 1).read(sparse)
    with pytest.raises(SetupError, match=r"dataset\.zip is damaged \(its members are packed"):
        zip_._names(packed)
