"""The duplicates stage: of photos that show the same picture it keeps one.

Same bytes, or the same picture: hashes within a few bits of each other, also mirrored, and thumbnails that agree.
Groups are connected components of all photos that everything else keeps, so this stage decides last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from manifests import licenses
from manifests.counts import plural
from manifests.errors import SetupError
from manifests.rows import in_one
from pipelines.engine.stage import RGB, Stage, StageSettings, Verdicts
from pipelines.filters.lookalikes import Bools, Pictures, Rules, components
from pipelines.filters.near import MAX_RADIUS, Indices, distance
from pipelines.filters.perceptual import SIDE, THUMB, look

SAME_BYTES, SAME_PICTURE, MIRRORED = "same bytes", "same picture", "same picture, mirrored"

_TABLE = 2048  # hashes compared all with all at once


class DuplicatesSettings(StageSettings):
    """What counts as the same picture."""

    radius: int = Field(default=6, ge=0, le=MAX_RADIUS, description="of the 64 bits of the hash so many may differ")
    correlation: float = Field(default=0.95, gt=0, le=1, description="least correlation of the thumbnails")
    mirrored: bool = Field(default=True, description="a mirror image is the same picture")


class Duplicates(Stage[DuplicatesSettings]):
    """Keeps of each group of duplicates the largest, then the one with the best rights, then the first seen.

    Only a photo that everything else keeps can be the keeper. A group of which two are further apart than twice the
    radius is split: its keeper takes those within the radius of it, of the rest the best is the next keeper, and so
    on; a note says how many. The value is the distance to the keeper in bits, and the verdict is about the keeper.
    """

    name = "duplicates"
    version = 1
    settings_type = DuplicatesSettings
    min_side = SIDE
    decides_last = True
    columns = {"hash": pa.uint64(), "mirror_hash": pa.uint64(), "thumbnail": pa.binary(THUMB * THUMB)}  # noqa: RUF012
    meanings = {  # noqa: RUF012
        "hash": "64 signs of the picture's low frequencies: alike where pictures are alike",
        "mirror_hash": "the same of its mirror image",
        "thumbnail": f"{THUMB}x{THUMB} greys, row by row",
    }

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002
        """`hash` and `mirror_hash`, 64 bits each; `thumbnail`: 16x16 greys, row by row."""
        looks = [look(image) for image in images]
        return {name: [one[at] for one in looks] for at, name in enumerate(self.columns)}

    def reads(self) -> Sequence[str]:
        return ("sha256", "license", "file_width", "file_height")

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from the measurements, the files' sizes and the licences; earlier rows were seen first."""
        rules = Rules(self.settings.radius, self.settings.correlation, self.settings.mirrored)
        pictures = _pictures(view)
        label = components(pictures, rules)
        rows = np.flatnonzero(np.bincount(label, minlength=len(label))[label] > 1)
        rows = rows[np.lexsort((_rank(view)[rows], label[rows]))]  # group by group, the best first
        keeper_of, wide = _keepers(pictures, rules, rows, label[rows])
        keeper_of[:] = np.where(np.asarray(view["others"])[keeper_of], keeper_of, np.arange(len(keeper_of)))
        out = np.flatnonzero(keeper_of != np.arange(len(keeper_of)))
        return _verdicts(view, pictures, rules, keeper_of, out, wide)


def _pictures(view: pa.Table) -> Pictures:
    """The hashes and thumbnails. SetupError where a row without an error has none, which no measurement writes."""
    if lacking := [name for name in Duplicates.columns if view[name].null_count]:
        raise SetupError(
            f"the table measurements_duplicates has rows without {lacking[0]}: restore it from a backup, or remove its "
            "folder and run lhq filter again"
        )
    thumbs = in_one(view["thumbnail"])
    start = thumbs.offset * THUMB * THUMB
    values = np.frombuffer(thumbs.buffers()[1] or b"", np.uint8)[start : start + len(thumbs) * THUMB * THUMB]
    return Pictures(view["hash"].to_numpy(), view["mirror_hash"].to_numpy(), values.reshape(len(thumbs), THUMB * THUMB))


def _rank(view: pa.Table) -> Indices:
    """Place of each photo in the order in which they are preferred."""
    area = (pc.cast(view[side], pa.int64()).fill_null(0).to_numpy() for side in ("file_width", "file_height"))
    names = in_one(view["license"]).dictionary_encode()
    rights = np.array([licenses.demands(name) for name in names.dictionary.to_pylist()], np.int64)
    asked = rights[names.indices.to_numpy()] if len(rights) else np.empty(0, np.int64)
    order = np.lexsort((asked, -np.multiply(*area), ~np.asarray(view["others"])))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


@dataclass(frozen=True)
class _Wide:
    """Groups that were split."""

    groups: int = 0
    photos: int = 0


def _keepers(pictures: Pictures, rules: Rules, rows: Indices, label: Indices) -> tuple[Indices, _Wide]:
    """Of every picture its keeper, itself where it has none; and what was split.

    `rows` stand group by group (`label`), the best of each first.
    """
    keeper_of = np.arange(len(pictures))
    first = np.flatnonzero(np.diff(label, prepend=-1)) if len(label) else np.empty(0, np.int64)
    sizes = np.diff(first, append=len(rows))
    keeper_of[rows] = np.repeat(rows[first], sizes)
    far = _distance(pictures, rules, rows, keeper_of[rows]) > rules.radius
    groups = photos = 0
    for group in np.unique(np.searchsorted(first, np.flatnonzero(far), side="right") - 1):
        members = rows[first[group] : first[group] + sizes[group]]
        if _is_wide(pictures[members], rules):
            for keeper, taken in _split(pictures, rules, members):
                keeper_of[taken] = keeper
            groups, photos = groups + 1, photos + len(members)
    return keeper_of, _Wide(groups, photos)


def _distance(pictures: Pictures, rules: Rules, left: Indices, right: Indices | int) -> npt.NDArray[np.uint8]:
    """Bits that differ, pair by pair, mirrored if that is nearer."""
    direct = pictures.distances(left, right, mirrored=False)
    return np.minimum(direct, pictures.distances(left, right, mirrored=True)) if rules.mirrored else direct


def _is_wide(group: Pictures, rules: Rules) -> bool:
    """Whether two of the group are further apart than twice the radius."""
    looks = np.unique(np.stack([group.hash, group.mirror]), axis=1)
    for at in range(0, looks.shape[1], _TABLE):
        here = looks[:, at : at + _TABLE, None]
        for other in range(at, looks.shape[1], _TABLE):
            there = looks[:, None, other : other + _TABLE]
            apart = distance(here[0], there[0])
            if rules.mirrored:
                apart = np.minimum(apart, np.minimum(distance(here[0], there[1]), distance(here[1], there[0])))
            if (apart > 2 * rules.radius).any():
                return True
    return False


def _split(pictures: Pictures, rules: Rules, members: Indices) -> Iterator[tuple[int, Indices]]:
    """Keepers with those that look like them, the best first; each takes what is left within its radius."""
    while len(members):
        keeper = members[:1]
        taken = _alike(pictures, rules, keeper, members)
        taken[0] = True  # itself, also where it has a single grey
        yield int(keeper[0]), members[taken]
        members = members[~taken]


def _alike(pictures: Pictures, rules: Rules, keeper: Indices, others: Indices) -> Bools:
    """Which of the others look like the keeper itself."""
    alike: Bools = (pictures.thumb[others] == pictures.thumb[keeper]).all(axis=1)
    alike &= pictures.hash[others] == pictures.hash[keeper]
    for mirrored in (False, True)[: 1 + rules.mirrored]:
        near = np.flatnonzero(pictures.distances(others, keeper, mirrored) <= rules.radius)
        correlation = pictures.correlations(np.repeat(keeper, len(near)), others[near], mirrored)
        alike[near] |= correlation >= rules.correlation
    return alike


def _verdicts(
    view: pa.Table, pictures: Pictures, rules: Rules, keeper_of: Indices, out: Indices, wide: _Wide
) -> Verdicts:
    """The photos `out` go, each for its keeper; all others stay."""
    keepers = keeper_of[out]
    same = pc.equal(view["sha256"].take(out), view["sha256"].take(keepers)).to_numpy()
    others, theirs = out[~same], keepers[~same]
    reason, about, value = (np.full(view.num_rows, None, dtype=object) for _ in range(3))
    reason[out[same]] = SAME_BYTES
    reason[others] = SAME_PICTURE
    if rules.mirrored:
        turned = pictures.correlations(others, theirs, True) > pictures.correlations(others, theirs, False)
        reason[others[turned]] = MIRRORED
    distinct, which = np.unique(keepers, return_inverse=True)  # one text for all that a keeper stands for
    about[out] = np.array(view["photo_id"].take(distinct).to_pylist(), dtype=object)[which]
    value[out] = _distance(pictures, rules, out, keepers).astype(float)
    keep = np.ones(view.num_rows, dtype=bool)
    keep[out] = False
    notes = []
    if wide.groups:
        were = "was" if wide.groups == 1 else "were"
        notes.append(
            f"{plural(wide.groups, 'group')} ({plural(wide.photos, 'photo')}) {were} wider than {2 * rules.radius} "
            f"bits and {were} split: a keeper each for what is within {rules.radius} bits of it"
        )
    return Verdicts(keep.tolist(), reason.tolist(), value.tolist(), about.tolist(), notes)
