"""What lies in a file can be anything: it is read, or refused in words of ours that name the file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from boards import row
from endless import untrained_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mangling import mangled, mangled_json

from benchmarks import board_check, checkpoints, exports, leaderboard, metrics, pictures, recipes, runs
from lhq_toolkit.benchmark import DETAILS, ROW, known_row
from lhq_toolkit.board import page, view
from lhq_toolkit.board.pictures import drawn_below
from manifests.dataset import Dataset
from manifests.errors import SetupError
from pipelines.engine.pool import InProcess
from pipelines.export import shards
from pipelines.export.run import run as export
from pipelines.export.wanted import Wanted
from pipelines.filter import existing

pytestmark = pytest.mark.slow

SHARED = [HealthCheck.function_scoped_fixture]  # a folder that every example writes anew
BOARD = leaderboard.as_csv([row(), row(model="stylegan2", fd=0.25), row(seed=3)])
JUDGED = b'{"step": 1, "images": 8, "fd": 4.5}\n'
METRICS = JUDGED + b'{"step": 2, "generator_loss": 0.5}\n{"step": 2, "images": 16, "fd": 3.5}\n'
EVALUATION = {
    "connection_difficulty": [{"frames_from_anchor": at / 2, "fd": 1.0 + at, "frames": 200} for at in range(3)],
    "repetition": {"score": 0.1, "strongest": 6.0, "similarity": [[0.25, 0.5], [0.5, 0.4], [2.0, 0.3]]},
}
ENDS = {"folder": ".png", "zip": ".zip", "webdataset": ".tar", "parquet": ".parquet"}


def read_or_refused(read: Callable[[], object], place: Path) -> bool:
    """Whether it was read. It may only be refused in one printable line that names the file or its folder."""
    try:
        read()
    except SetupError as error:
        told = str(error).replace("\n", " ")
        assert str(place) in told, told
        return False
    return True


@settings(derandomize=True, deadline=None, suppress_health_check=SHARED)
@given(data=mangled(BOARD))
def test_a_leaderboard(tmp_path, data):
    path = tmp_path / "board.csv"
    path.write_bytes(data)
    sound = read_or_refused(lambda: leaderboard.read(path), path)
    read_or_refused(lambda: board_check.check(path), path)
    if not read_or_refused(lambda: leaderboard.add(path, row(seed=9)), path):
        assert path.read_bytes() == data, "what could not be read is left as it was"
    elif sound:
        assert row(seed=9) in leaderboard.read(path)


@settings(derandomize=True, deadline=None, suppress_health_check=SHARED)
@given(
    data=mangled(METRICS) | st.lists(mangled_json(JUDGED), max_size=3).map(b"\n".join).map(lambda text: text + b"\n")
)
def test_the_losses_of_a_run(tmp_path, data):
    (tmp_path / metrics.FILE).write_bytes(data)
    for read in (metrics.read, metrics.measured, metrics.best):
        read_or_refused(lambda read=read: read(tmp_path), tmp_path)  # type: ignore[misc]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return untrained_run(tmp_path_factory.mktemp("hostile") / "run", "alis", patches=4, input_resolution=4)


@pytest.mark.parametrize("name", [recipes.FILE, checkpoints.FACTS, checkpoints.TENSORS])
@settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=SHARED)
@given(data=st.data())
def test_a_recipe_and_a_checkpoint(run, name, data):
    last = checkpoints.last(run)
    assert last is not None
    path = (run if name == recipes.FILE else last) / name
    sound = path.read_bytes()
    path.write_bytes(data.draw(mangled(sound) if name == checkpoints.TENSORS else mangled_json(sound)))
    try:
        read_or_refused(lambda: runs.open_checkpoint(run, torch.device("cpu"), "last"), run)
        checkpoints.reached(run)
    finally:
        path.write_bytes(sound)


@settings(derandomize=True, deadline=None, suppress_health_check=SHARED)
@given(told=mangled_json(json.dumps(vars(row())).encode()), details=mangled_json(json.dumps(EVALUATION).encode()))
def test_what_was_measured_of_a_run(run, told, details):
    (run / ROW).write_bytes(told)
    (run / DETAILS).write_bytes(details)
    known = known_row(run)
    ours = row() if known is None else known
    (run / ROW).write_text(json.dumps(vars(ours)))
    drawn = drawn_below(run.parent, [ours])
    assert drawn
    shown = page.html("board", view.groups([ours]), drawn, "0.1")
    assert "Traceback" not in shown
    shown.encode("utf-8", errors="replace")


@pytest.fixture(scope="module")
def made(lhq, tmp_path_factory) -> dict[str, Path]:
    """Four photos as an export of each format, shards of three pictures."""
    place = tmp_path_factory.mktemp("exports")
    tiny.write(place / "photos", tiny.images(4, resolution=32))
    assert lhq("crawl", place / "d", "--source", "folder", "--path", place / "photos", "--workers", 0).code == 0
    dataset = Dataset.open(place / "d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 3 * 3 * 16**2)
        for form in ENDS:
            export(dataset, existing(dataset, "curated"), str(place / form), Wanted(form, 16), InProcess(), "test")  # type: ignore[arg-type]
    return {form: place / form for form in ENDS}


def told_again(out: Path, names: list[str]) -> None:
    """Sums of the files as they are, so that what was done to them is believed."""
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}
    (out / exports.SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


@pytest.mark.parametrize("what", ["pictures", exports.STATE, exports.SUMS])
@pytest.mark.parametrize("form", list(ENDS))
@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=SHARED)
@given(data=st.data())
def test_an_export(made, form, what, data):
    out = made[form].parent / "changed"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made[form], out)
    names = [line.split("  ")[1] for line in (out / exports.SUMS).read_text().splitlines()]
    path = out / (min(name for name in names if name.endswith(ENDS[form])) if what == "pictures" else what)
    sound = path.read_bytes()
    path.write_bytes(data.draw(mangled_json(sound) if what == exports.STATE else mangled(sound)))
    if what != exports.SUMS:
        told_again(out, names)
    beside = set(out.parent.iterdir())
    read_or_refused(lambda: pictures.read(out, out / "cache"), out)
    assert set(out.parent.iterdir()) == beside, "nothing is written elsewhere"


def test_a_row_such_as_no_leaderboard_takes_is_not_known(run):
    for wrong in ({"fd": "0.3"}, {"resolution": 64.5}, {"fd": float("inf")}, {"threads": -1}):
        (run / ROW).write_text(json.dumps({**vars(row()), **wrong}))
        assert known_row(run) is None, wrong
    (run / ROW).write_text(json.dumps(vars(row())))
    assert known_row(run) == row()
