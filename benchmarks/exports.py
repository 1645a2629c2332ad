"""Where training pictures lie: an export of the toolkit in any format, or a folder or zip of square pictures.

What is found here is the listing; no picture is opened. `picture_readers` reads them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import torch

from manifests import plain_json
from manifests.counts import plural
from manifests.errors import MisuseError, SetupError

Form = Literal["folder", "zip", "webdataset", "parquet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ZIP, STATE, SUMS = "dataset.zip", "export.json", "SHA256SUMS"  # of an export
VALIDATION = "validation/"  # pictures of an export that are not learned from
SHARDS: Mapping[Form, str] = {"webdataset": "shard-*.tar", "parquet": "train-*.parquet"}  # those that are
LARGEST_FILE = 64 * 2**20  # bytes of a picture, as it is stored and unpacked


@dataclass(frozen=True)
class Source:
    """Pictures that can be read. `files`: those that hold them, by their names, sorted."""

    place: Path
    form: Form
    files: Mapping[str, Path]
    facts: Mapping[str, str]  # of an export: dataset, subset, subset_hash, resolution; else empty
    sums: Mapping[str, str]  # of an export: SHA-256 of its files, by their names
    key: str  # which pictures these are: of an export what SHA256SUMS and export.json say; else the path
    seen: str  # names, sizes and times (ns) of the files, as a hash

    @property
    def is_export(self) -> bool:
        """Whether the toolkit made it, so that every file has a known hash."""
        return bool(self.sums)


def find(data: Path) -> Source:
    """What lies at a path.

    Raises SetupError where there are no pictures, and for an export of which a file is missing or new. That the
    files still have their hashes is not looked at here: see `refuse_changed`.
    """
    if data.name == ZIP and (data.parent / STATE).is_file():
        data = data.parent  # the zip of an export is the export
    said, facts, sums = _export(data)
    form = _form(data, facts.pop("format", None))
    files = _files(data, form, bool(sums))
    _refuse_missing(data, form, files, sums)
    if form == "folder" and len(files) < 2:
        raise too_few(data, len(files))
    key = hashlib.sha256(said or b"path " + os.fsencode(data.resolve())).hexdigest()[:32]
    return Source(data, form, files, facts, sums, key, _seen(data, files))


def refuse_changed(source: Source) -> None:
    """Read every file of an export that holds pictures; SetupError where one is not as it was exported."""
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for name, digest in zip(source.files, threads.map(_sha256, source.files.values()), strict=True):
            if digest != source.sums.get(name):
                raise changed(source.place, name)


def refuse_moving(source: Source) -> None:
    """SetupError where a file's size or time is another than when it was found: what was read may be half of each."""
    if _seen(source.place, source.files) != source.seen:
        raise SetupError(f"{source.place} changed while it was read; run the command again when it is at rest")


def changed(place: Path, name: str) -> SetupError:
    """For a file of an export that has another hash than it had."""
    return SetupError(f"{place}: {name} is not the file that was exported ({SUMS}); export again")


def too_few(place: Path, count: int) -> SetupError:
    """For data from which nothing can be learned."""
    return MisuseError(f"{place} holds {plural(count, 'picture')}; make an export with: lhq export DATASET OUT ...")


def _export(data: Path) -> tuple[bytes, dict[str, str], dict[str, str]]:
    """An export's own words, what they say of it, and its files' sums; nothing where the pictures come from
    elsewhere."""
    state = data / STATE
    if not state.is_file():
        return b"", {}, {}
    if not (data / SUMS).is_file():
        raise SetupError(f"the export {data} is not whole: run the same lhq export again")
    try:
        said, listed = state.read_bytes(), (data / SUMS).read_bytes()
        facts = plain_json.loads(said)
        lines = (line.split("  ", 1) for line in listed.decode().splitlines())
        sums = {name: digest for digest, name in lines}
        told = {name: str(facts[name]) for name in ("dataset", "subset", "subset_hash")}
        if facts.get("format") is not None:
            told["format"] = str(facts["format"])
        if isinstance(facts.get("resolution"), int):
            told["resolution"] = str(facts["resolution"])
        if not sums:
            raise ValueError("no sums")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SetupError(f"{state} or {SUMS} is damaged ({error!r}); export again") from error
    return b"export " + listed + b"\0" + said, told, sums


def _form(data: Path, told: str | None) -> Form:
    """What an export says it is; else what it looks like."""
    for form in ("folder", "zip", *SHARDS):
        if told == form:
            return form
    if told is not None:
        raise SetupError(f"{data} is an export in the unknown format {told!r}; export again, or update the toolkit")
    return "folder" if data.is_dir() and not (data / ZIP).is_file() else "zip"


def _files(data: Path, form: Form, is_export: bool) -> dict[str, Path]:
    """The files that hold pictures, by their names."""
    if form == "folder":
        paths = (path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        names = {path.relative_to(data).as_posix(): path for path in paths}
        return {name: names[name] for name in sorted(names) if not (is_export and name.startswith(VALIDATION))}
    if form == "zip":
        archive = data / ZIP if data.is_dir() else data
        if archive.is_file():
            return {archive.name: archive}
        if is_export:
            raise SetupError(f"the export {data} is not whole: {ZIP} does not exist; copy it again, or export again")
        raise MisuseError(f"{data} does not exist; DATA is an export, or a folder or zip of square pictures")
    return {path.name: path for path in sorted(data.glob(SHARDS[form])) if path.is_file()}


def _refuse_missing(data: Path, form: Form, files: Mapping[str, Path], sums: Mapping[str, str]) -> None:
    """SetupError where an export lacks a file with pictures, or has one too many."""
    if not sums:
        return
    if form == "folder":
        expected = {name for name in sums if name.lower().endswith(SUFFIXES) and not name.startswith(VALIDATION)}
    elif form == "zip":
        expected = {ZIP}
    else:
        expected = {name for name in sums if fnmatchcase(name, SHARDS[form])}
    if differing := sorted(expected ^ set(files)):
        what = "pictures" if form == "folder" else "files with pictures"
        raise SetupError(
            f"the export {data} is not whole: {len(differing):,} {what} are missing or new, such as {differing[0]}; "
            "copy it again, or run the same lhq export again"
        )


def _seen(data: Path, files: Mapping[str, Path]) -> str:
    whole = hashlib.sha256()
    for name, path in files.items():
        try:
            found = path.stat()
        except OSError as error:
            raise SetupError(f"{data}: {name} cannot be read ({error.strerror})") from error
        whole.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror})") from error
