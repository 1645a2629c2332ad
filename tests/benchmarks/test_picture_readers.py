"""Archives of strangers: what is broken, too large, twice there or leads out of its folder is refused in words."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from PIL import Image
from trainable import exports_of, first_shard

from benchmarks import exports, picture_readers, pictures
from manifests.errors import SetupError


@pytest.fixture(scope="module")
def made(lhq, tmp_path_factory) -> dict[str, Path]:
    return exports_of(lhq, tmp_path_factory.mktemp("exports"), ("webdataset", "parquet"))


@pytest.fixture
def export(made, tmp_path) -> Callable[[str], Path]:
    """A copy of an export, for tests that change it."""
    return lambda form: Path(shutil.copytree(made[form], tmp_path / form))


def told_again(out: Path) -> None:
    """Write the sums of an export anew, so that what was done to its files is believed."""
    lines = [line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()]
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in lines}
    (out / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def _tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name) if isinstance(name, str) else name
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _link(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return entry


def _png(side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (1, 2, 3)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_TARS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:9000]), "not a tar that can be read"),
    "cut between members": (lambda path: path.write_bytes(path.read_bytes()[:512]), "not a tar that can be read"),
    "no tar": (lambda path: path.write_bytes(b"nothing of the kind" * 99), "not a tar that can be read"),
    "compressed": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "not a tar that"),
    "leads out": (lambda path: _tar(path, [("../../etc/0.png", _png())]), "leads out of its folder"),
    "absolute": (lambda path: _tar(path, [("/etc/0.png", _png())]), "leads out of its folder"),
    "link": (lambda path: _tar(path, [(_link("0.png"), b"")]), "no plain file"),
    "twice": (lambda path: _tar(path, [("0.png", _png()), ("0.png", _png())]), "two pictures of the name"),
    "in two shards": (lambda path: shutil.copy(path.with_name("shard-00001.tar"), path), "two pictures of the name"),
    "huge": (lambda path: _tar(path, [("0.png", bytes(exports.LARGEST_FILE + 1))]), r"0\.png would be"),
    "no picture": (lambda path: _tar(path, [("0.png", b"\x80\x04 a pickle")]), r"0\.png: not a JPEG"),
    "another size": (lambda path: _tar(path, [("9/0.png", _png(64))]), r"9/0\.png is 64x64, the first is 32"),
}


def refused_when_spoiled(out: Path, spoil: Callable[[Path], object], says: str, cache: Path) -> None:
    """An export whose first shard is another now is refused so, and nothing of it is kept."""
    spoil(first_shard(out))
    told_again(out)
    with pytest.raises(SetupError, match=says):
        pictures.read(out, cache)
    assert not list(cache.rglob("about.json"))


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD_TARS)
def test_a_bad_tar_is_refused_in_words(export, tmp_path, what):
    refused_when_spoiled(export("webdataset"), *BAD_TARS[what], tmp_path / "cache")


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _parquet(path: Path, rows: list[object], kind: pa.DataType = IMAGE, name: str = "image") -> None:
    pq.write_table(pa.table({name: pa.array(rows, kind)}), path)


BAD_PARQUETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "no Parquet that can be read"),
    "no parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(99)), "no Parquet that can be read"),
    "no column": (lambda path: _parquet(path, [{"bytes": _png(), "path": "0.png"}], name="img"), "no column `image`"),
    "plain bytes": (lambda path: _parquet(path, [_png()], pa.binary()), "no column `image`"),
    "no bytes": (lambda path: _parquet(path, [{"path": "0.png"}], pa.struct([("path", pa.string())])), "no column"),
    "no name": (lambda path: _parquet(path, [{"bytes": _png(), "path": None}]), "has no name"),
    "null": (lambda path: _parquet(path, [None]), "has no name"),
    "empty": (lambda path: _parquet(path, [{"bytes": None, "path": "0.png"}]), "'0.png' is empty"),
    "leads out": (lambda path: _parquet(path, [{"bytes": _png(), "path": "../0.png"}]), "leads out of its folder"),
    "twice": (lambda path: _parquet(path, [{"bytes": _png(), "path": "0.png"}] * 2), "two pictures of the name"),
    "huge": (
        lambda path: _parquet(path, [{"bytes": bytes(exports.LARGEST_FILE + 1), "path": "0.png"}, *_several(9)]),
        r"0\.png would be",
    ),
}


def _several(count: int) -> list[object]:
    return [{"bytes": _png(), "path": f"9/{at}.png"} for at in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD_PARQUETS)
def test_a_bad_parquet_is_refused_in_words(export, tmp_path, what):
    refused_when_spoiled(export("parquet"), *BAD_PARQUETS[what], tmp_path / "cache")


def test_a_parquet_that_says_it_unpacks_to_far_too_much_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "train-0.parquet"
    rows = [{"bytes": bytes(50_000), "path": f"{at}.png"} for at in range(4)]
    pq.write_table(pa.table({"image": pa.array(rows, IMAGE)}), path, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(picture_readers, "LARGEST_FILE", 1000)
    with pytest.raises(SetupError, match="row group 0 would be"):
        picture_readers._of_parquet(path, path.name)


def test_names_that_lead_out_of_a_zip_and_large_files_of_a_folder_are_refused(tmp_path):
    photos = tiny.write(tmp_path / "photos", tiny.images(12))
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../0.png", _png())
        archive.writestr("1.png", _png())
    with pytest.raises(SetupError, match="leads out of its folder"):
        pictures.read(tmp_path / "out.zip", tmp_path / "cache")
    with (photos / "0004.png").open("r+b") as stream:
        stream.truncate(exports.LARGEST_FILE + 1)
    with pytest.raises(SetupError, match=r"0004\.png would be"):
        pictures.read(photos, tmp_path / "cache")
