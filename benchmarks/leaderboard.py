"""Leaderboards: one CSV per dataset, a row per measured run; only rows that are comparable are ranked together."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests import atomic
from manifests.errors import MisuseError, SetupError
from manifests.locks import locked
from models.weights import REGISTRY

OURS, PAPER, MERGED = "ours", "paper", "merged"  # origin
ABOUT_THE_MEASURING = ("dataset", "subset_hash", "resolution", "features", "resize", "n_real", "n_generated")
ABOUT_INFINITY = ("infinity_setup", "sampling")  # what infinity numbers must share besides
ABOUT_THE_RUN = ("model", "subset", "budget", "recipe_hash", "images_seen", "seed", "device", "dtype", "origin")


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard, in the order of its columns. None: not measured, or not there to be measured.

    Raises ValueError where a number is called FID and its features are not those of the 2015 Inception, by their
    hash. Published numbers (origin `paper`) may name no features; if they do, the same holds.
    """

    model: str
    dataset: str
    subset: str
    subset_hash: str
    resolution: int
    budget: str
    recipe_hash: str
    anchor_distance: int | None = None  # frames
    patches: int | None = None
    infinity_setup: str | None = None  # what the infinity numbers are from: how many panoramas, frames, which seeds
    images_seen: int | None = None
    train_hours: float | None = None
    train_devices: str | None = None
    fid: float | None = None
    infinity_fid: float | None = None
    fd: float | None = None
    infinity_fd: float | None = None
    features: str | None = None  # name@hash of the weights
    resize: str | None = None
    n_real: int | None = None
    n_generated: int | None = None
    ms_per_image: float | None = None
    images_per_s: float | None = None
    panorama_ms_per_frame: float | None = None
    gmac: float | None = None
    sampling: str | None = None
    kid: float | None = None  # as precision and recall, on these features
    precision: float | None = None
    recall: float | None = None
    fd_error: float | None = None  # standard error of fid or fd
    infinity_fd_error: float | None = None  # of infinity_fid or infinity_fd, over the seeds
    seam: float | None = None  # 1: borders of patches cannot be told
    repetition: float | None = None  # 0: the panorama does not return with its coordinates
    noise_use: float | None = None  # 0: the spatial noise changes nothing
    generator: int | None = None  # parameters
    discriminator: int | None = None
    total: int | None = None
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None
    seed: int | None = None
    toolkit: str | None = None
    date: str | None = None
    origin: str = OURS

    def __post_init__(self) -> None:
        if self.fid is None and self.infinity_fid is None:
            return
        if self.features is None and self.origin == PAPER:
            return
        if (self.features or "").rpartition("@")[2] != REGISTRY["inception"].sha256:
            raise ValueError(f"a FID of the features {self.features}: only the 2015 Inception's are called so")

    @property
    def distance(self) -> float | None:
        """What rows are ranked by: fid, else fd."""
        return self.fd if self.fid is None else self.fid

    @property
    def endless(self) -> float | None:
        """infinity_fid, else infinity_fd."""
        return self.infinity_fd if self.infinity_fid is None else self.infinity_fid


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
KINDS: Mapping[str, tuple[type, bool]] = {  # of each column, and whether it may be empty
    name: (typing.get_args(kind)[0], True) if isinstance(kind, types.UnionType) else (kind, False)
    for name, kind in typing.get_type_hints(Row).items()
}
_NUMBER = {int: re.compile(r"[0-9]{1,20}"), float: re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")}
SMALLEST, LARGEST = 1e-300, 1e15  # fractions other than 0


@dataclass(frozen=True)
class Problem:
    """What is wrong in a file, and where. column: empty where it is the whole line."""

    line: int
    column: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}{', ' + self.column if self.column else ''}: {self.what}"


def read(path: Path) -> list[Row]:
    """The rows of a leaderboard. Raises SetupError that names line and column where one is wrong."""
    rows, problems = parse(text_of(path))
    if problems:
        more = f" (and {len(problems) - 1} more: lhq leaderboard check {path})" if len(problems) > 1 else ""
        raise SetupError(f"{path}, {problems[0]}{more}")
    return [row for _, row in rows]


def text_of(path: Path) -> str:
    """What a leaderboard's file says. Raises MisuseError where there is none, or no text."""
    try:
        return path.read_bytes().decode("utf-8-sig")  # some spreadsheets put a mark before it
    except FileNotFoundError as error:
        raise MisuseError(f"there is no leaderboard {path}; lhq benchmark and lhq evaluate write one") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise MisuseError(
            f"{path} is not a leaderboard, a CSV file in UTF-8: name one that lhq benchmark or lhq evaluate wrote"
        ) from error


def parse(text: str) -> tuple[list[tuple[int, Row]], list[Problem]]:
    """Rows with the number of the line where each ends, and everything that keeps others from being rows."""
    rows: list[tuple[int, Row]] = []
    problems: list[Problem] = []
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if header := _problems_of_header(next(lines, [])):
            return [], header
        for cells in lines:
            row, found = _parsed(lines.line_num, cells)
            problems += found
            if row is not None:
                rows.append((lines.line_num, row))
    except csv.Error as error:
        problems.append(Problem(lines.line_num, "", f"not CSV: {error}"))
    return rows, problems


def _problems_of_header(header: Sequence[str]) -> list[Problem]:
    if tuple(header) == COLUMNS:
        return []
    if not set(header) & set(COLUMNS):
        return [Problem(1, "", "not a leaderboard: none of its columns is ours")]
    said = [Problem(1, name, "this column is missing") for name in COLUMNS if name not in header]
    said += [Problem(1, name[:40], "no such column is known") for name in header if name not in COLUMNS]
    said += [Problem(1, name, "this column stands there twice") for name in COLUMNS if header.count(name) > 1]
    return said or [Problem(1, "", "the columns stand in another order")]


def _parsed(number: int, cells: Sequence[str]) -> tuple[Row | None, list[Problem]]:
    if len(cells) != len(COLUMNS):
        return None, [Problem(number, "", f"{len(cells)} cells, {len(COLUMNS)} are needed")]
    values: dict[str, Any] = {}
    problems = []
    for name, text in zip(COLUMNS, cells, strict=True):
        kind, optional = KINDS[name]
        try:
            values[name] = None if optional and text == "" else _value(text, kind)
        except ValueError:
            problems.append(Problem(number, name, f"{text[:40]!r} is not of kind {kind.__name__}"))
    if problems:
        return None, problems
    try:
        return Row(**values), []
    except ValueError as error:
        return None, [Problem(number, "", str(error))]


def _value(text: str, kind: type) -> str | int | float:
    """A cell as it is written: plain digits, of a size that something measured can have. ValueError for others."""
    if kind is str:
        return text
    if not _NUMBER[kind].fullmatch(text):
        raise ValueError(text)
    value: int | float = kind(text)
    if not (value == 0 or SMALLEST <= abs(value) <= LARGEST if kind is float else 0 <= value < 2**64):
        raise ValueError(text)
    return value


def add(path: Path, row: Row) -> bool:
    """Append a row, atomically; False, and nothing is written, where the very row is there already."""
    return bool(extend(path, [row]))


def extend(path: Path, new: Sequence[Row]) -> list[Row]:
    """Append rows, atomically; those that were not there yet are returned."""
    atomic.make_folder(path.parent)
    with locked(path.parent, f"leaderboard-{path.stem}", wait_seconds=30.0):
        rows = read(path) if path.exists() else []
        added = [row for row in dict.fromkeys(new) if row not in rows]
        if added:
            atomic.write_bytes(path, as_csv([*rows, *added]))
    return added


def as_csv(rows: Iterable[Row]) -> bytes:
    """The file of these rows."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow("" if value is None else value for value in dataclasses.astuple(row))
    return buffer.getvalue().encode()


def latest(rows: Sequence[Row]) -> list[Row]:
    """The last row of each run under each measuring: measured again, a run has a new row.

    Of merged rows all: nobody knows whether two are of one run.
    """
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        alike = tuple(getattr(row, name) for name in (*ABOUT_THE_RUN, *ABOUT_THE_MEASURING, "sampling"))
        found[(*alike, row if row.origin == MERGED else None)] = row
    return list(found.values())


def ranked(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of comparable rows, each from the smallest distance on; rows without a distance stand last.

    A row that does not say what it was measured on or with is comparable with none: it stands alone.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for at, row in enumerate(rows):
        key = comparable_by(row)
        groups.setdefault((at,) if key is None else key, []).append(row)
    return [
        sorted(group, key=lambda row: float("inf") if row.distance is None else row.distance)
        for group in groups.values()
    ]


def comparable_by(row: Row) -> tuple[object, ...] | None:
    """What the fid or fd of another row must share with it; None where the row leaves some of it open."""
    key = tuple(getattr(row, name) for name in ABOUT_THE_MEASURING)
    return None if None in key or "" in key else key


def infinity_comparable_by(row: Row) -> tuple[object, ...] | None:
    """What the infinity number of another row must share with it besides; None where it is open or there is none."""
    key = tuple(getattr(row, name) for name in ABOUT_INFINITY)
    return None if row.endless is None or None in key or comparable_by(row) is None else key
