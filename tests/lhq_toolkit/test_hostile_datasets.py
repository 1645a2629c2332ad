"""A dataset from a stranger, or a damaged one, is read or refused in one line; nothing outside of it is touched."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from mangling import (
    FEW_OR_MANY,
    mangled,
    mangled_json,
    mangled_lines,
    mangled_parquet,
    mangled_sqlite,
    tried,
)
from PIL import Image

from lhq_toolkit.cli import run
from lhq_toolkit.review.desk import Desk
from lhq_toolkit.review.index import Query
from manifests.errors import LhqError
from manifests.reviews import Reviews

pytestmark = pytest.mark.slow  # datasets are filtered and exported


def ran(*arguments: object) -> str:
    """What a command says; it ends with 0, or in one line that says what is wrong with its input."""
    before = signal.getsignal(signal.SIGTERM)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = run([str(one) for one in arguments])
    signal.signal(signal.SIGTERM, before)
    assert code in (0, 1, 2), said.getvalue()
    assert "a bug" not in said.getvalue(), said.getvalue()
    assert "Traceback" not in said.getvalue(), said.getvalue()
    return said.getvalue()


def reviewed(root: Path) -> None:
    """What `lhq review` reads when it starts, and a list."""
    with contextlib.suppress(LhqError):
        desk = Desk(root, "curated")
        desk.open_list(Query("all"), "anna")
        desk.close()


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = ["file,title,tags,author,license,taken_at"]
    for at in range(22):
        pixels = np.random.default_rng(at).integers(0, 255, (24 + at, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{at}.png")
        lines.append(f"{at}.png,number {at},sea;tag{at},somebody,CC0,2020-01-{at + 1:02d}")
    (folder / "meta.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "p"
    write(folder)
    return folder


def crawl(root: Path, pictures: Path) -> list[object]:
    return [
        "crawl",
        root,
        "--source",
        "folder",
        "--path",
        pictures,
        "--metadata",
        pictures / "meta.csv",
        "--workers",
        0,
    ]


@pytest.fixture(scope="module")
def sound(pictures, tmp_path_factory) -> Path:
    """A dataset with everything that one may hold."""
    root = tmp_path_factory.mktemp("sound") / "d"
    ran(*crawl(root, pictures))
    ran("remove", root, "--id", "folder:p/17.png", "--yes")
    stages = ["--tags", "--resolution", "--duplicates", "--likelihood"]
    settings = ["--set", "resolution.min_side=26", "--set", "likelihood.features=small"]
    ran("filter", root, *stages, *settings, "--workers", 0)
    with Reviews(root) as reviews:
        reviews.decide("folder:p/0.png", "anna", "keep", "t" * 16)
        reviews.decide("folder:p/9.png", "bert", "reject", "u" * 16)
    ran("export", root, root.parent / "out", "--format", "folder", "--resolution", 16, "--workers", 0)
    ran("manifest", root, "-o", root.parent / "all.parquet")
    wanted = {"crawl.sqlite", "exports.jsonl", "fits", "reviews.sqlite", "subsets", "tables"}
    assert wanted <= {path.name for path in root.iterdir()}
    assert {"measurements_duplicates", "measurements_likelihood"} <= {path.name for path in (root / "tables").iterdir()}
    shutil.rmtree(root.parent / "out")
    return root


def files(root: Path) -> list[str]:
    """What may be damaged of a dataset: everything but images and locks."""
    places = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [place for place in places if place.split("/")[0] not in ("images", "locks") and "-shm" not in place]


def damage(place: str, data: bytes, scratch: Path) -> st.SearchStrategy[bytes]:
    kinds: dict[str, Callable[[bytes], st.SearchStrategy[bytes]]] = {
        ".json": mangled_json,
        ".jsonl": mangled_lines,
        ".parquet": mangled_parquet,
        ".sqlite": lambda sound: mangled_sqlite(sound, scratch),
    }
    return kinds.get(Path(place).suffix, mangled)(data) if data else st.binary(max_size=9)


def commands(root: Path, pictures: Path) -> list[list[object]]:
    beside = root.parent / "beside"
    return [
        ["status", root],
        ["verify", root],
        ["filter", root, "--workers", 0],
        ["manifest", root, "-o", beside / "all.parquet"],
        ["report", root, "-o", beside / "report.html"],
        ["remove", root, "--id", "folder:p/3.png", "--yes"],
        ["verify", root, "--repair"],
        crawl(root, pictures),
        ["export", root, beside / "out", "--format", "folder", "--resolution", 16, "--workers", 0],
    ]


def content(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((str(path), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file())


@FEW_OR_MANY
def test_any_file_of_a_dataset_may_hold_anything(sound, pictures, tmp_path, many):
    root, scratch = tmp_path / "box" / "d", tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "x").write_text("not ours")
    places = files(sound)

    def check(data: st.DataObject) -> None:
        shutil.rmtree(root.parent, ignore_errors=True)
        shutil.copytree(sound, root)
        (root.parent / "beside").mkdir()
        (root.parent / "x").write_text("not ours")
        place = data.draw(st.sampled_from(places))
        (root / place).write_bytes(data.draw(damage(place, (root / place).read_bytes(), scratch)))
        for at in data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=2)):
            some = commands(root, pictures)
            ran(*some[at]) if at < len(some) else reviewed(root)
        assert {path.name for path in tmp_path.iterdir()} <= {"box", "scratch", "x"}
        assert {path.name for path in root.parent.iterdir()} == {"beside", "d", "x"}
        assert {path.name for path in (root.parent / "beside").iterdir()} <= {"all.parquet", "report.html", "out"}

    tried(check, st.data(), 25, many=many and 500)


NO_TEXT = pa.array([b"\xff"], pa.binary()).view(pa.string())[0]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("photos", "title", NO_TEXT),
        ("files", "photo_id", NO_TEXT),
        ("files", "path", None),
        ("files", "sha256", None),
        ("files", "width", None),
        ("files", "height", -1),
        ("measurements_duplicates", "hash", None),
    ],
)
def test_a_table_whose_values_no_crawl_wrote_is_told_by_every_command(sound, pictures, tmp_path, table, column, value):
    root = tmp_path / "d"
    shutil.copytree(sound, root)
    (tmp_path / "beside").mkdir()
    for part in (root / "tables" / table).rglob("part-*.parquet"):
        with pq.ParquetFile(part) as file:
            rows = file.read()
        at = rows.column_names.index(column)
        other = pa.repeat(value if value is NO_TEXT else pa.scalar(value, rows.schema.types[at]), rows.num_rows)
        pq.write_table(rows.set_column(at, column, other), part, write_page_checksum=True)
    for command in commands(root, pictures):
        said = ran(*command)
        if value is NO_TEXT and command[0] == "verify":
            assert "damaged table" in said, said
    reviewed(root)
