"""Leaderboards: one CSV per dataset, a row per measured run; only rows that are comparable are ranked together."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests import atomic
from manifests.errors import SetupError
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


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


def read(path: Path) -> list[Row]:
    """The rows of a leaderboard. Raises SetupError that names line and column where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SetupError(f"there is no leaderboard {path}; lhq benchmark and lhq evaluate write one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        if tuple(header) != COLUMNS:
            odd = sorted(set(header) ^ set(COLUMNS)) or ["their order"]
            raise SetupError(f"{path} is not a leaderboard: its columns differ from ours in {', '.join(odd[:5])}")
        return [_parsed(path, lines.line_num, line) for line in lines]
    except csv.Error as error:
        raise SetupError(f"{path}, line {lines.line_num}: {error}") from error


def _parsed(path: Path, number: int, line: Sequence[str]) -> Row:
    if len(line) != len(COLUMNS):
        raise SetupError(f"{path}, line {number}: {len(line)} cells, {len(COLUMNS)} are needed")
    kinds = typing.get_type_hints(Row)
    values: dict[str, typing.Any] = {}
    for name, text in zip(COLUMNS, line, strict=True):
        kind = kinds[name]
        optional = isinstance(kind, types.UnionType)
        plain = typing.get_args(kind)[0] if optional else kind
        try:
            values[name] = None if optional and text == "" else plain(text)
            if plain is float and values[name] is not None and not math.isfinite(values[name]):
                raise ValueError(text)
        except ValueError as error:
            raise SetupError(f"{path}, line {number}, {name}: {text!r} is not of kind {plain.__name__}") from error
    try:
        return Row(**values)
    except ValueError as error:
        raise SetupError(f"{path}, line {number}: {error}") from error


def add(path: Path, row: Row) -> bool:
    """Append a row, atomically; False, and nothing is written, where the very row is there already."""
    atomic.make_folder(path.parent)
    with locked(path.parent, f"leaderboard-{path.stem}", wait_seconds=30.0):
        rows = read(path) if path.exists() else []
        if row in rows:
            return False
        atomic.write_bytes(path, _text([*rows, row]))
    return True


def _text(rows: Iterable[Row]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow("" if value is None else value for value in dataclasses.astuple(row))
    return buffer.getvalue().encode()


def latest(rows: Sequence[Row]) -> list[Row]:
    """The last row of each run under each measuring: measured again, a run has a new row."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        found[tuple(getattr(row, name) for name in (*ABOUT_THE_RUN, *ABOUT_THE_MEASURING, "sampling"))] = row
    return list(found.values())


def ranked(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups of comparable rows, each from the smallest distance on; rows without a distance stand last."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, name) for name in ABOUT_THE_MEASURING), []).append(row)
    return [
        sorted(group, key=lambda row: float("inf") if row.distance is None else row.distance)
        for group in groups.values()
    ]
