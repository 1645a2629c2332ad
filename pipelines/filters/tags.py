"""The tags stage: rejects a photo that carries a blacklisted tag."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator

from manifests.tags import BLACKLIST, read_list
from pipelines.engine.stage import Stage, StageSettings, Verdicts


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _absolute(path: Path | None) -> Path | None:
    """A recipe is decided again from other working folders."""
    return path and path.expanduser().absolute()


class TagsSettings(StageSettings):
    """Which list the tags are held against; an empty text means the shipped list again."""

    blacklist: Annotated[Path | None, BeforeValidator(_empty_is_none), AfterValidator(_absolute)] = None


class Tags(Stage[TagsSettings]):
    """Rejects a photo when one of its normalised tags equals a tag of the list; without tags it passes.

    The value is the number of its tags on the list. The list is read when it is first needed, so that a recipe
    whose list is gone can still be changed; SetupError then names what is wrong with it.
    """

    name = "tags"
    version = 1
    settings_type = TagsSettings

    @cached_property
    def _blacklist(self) -> list[str]:
        return sorted(read_list(self.settings.blacklist or BLACKLIST))

    def weights_hash(self) -> str:
        """Hash of the list's tags: other tags give other verdicts, under the same settings."""
        return hashlib.sha256("\n".join(self._blacklist).encode()).hexdigest()

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from the column `tags` (lists of normalised tags); the reason names the first hit."""
        hits = np.zeros(view.num_rows)
        first = np.full(view.num_rows, len(self._blacklist))  # position in the list; its length: no hit
        start = 0
        for chunk in view.column("tags").chunks:
            rows, positions = self._hits(chunk)
            hits[start : start + len(chunk)] = np.bincount(rows, minlength=len(chunk))
            hit_rows, where = np.unique(rows, return_index=True)
            first[start + hit_rows] = positions[where]
            start += len(chunk)
        reasons = np.array([*(f"tag: {tag}" for tag in self._blacklist), None], dtype=object)
        return Verdicts(keep=(hits == 0).tolist(), reason=reasons[first].tolist(), value=hits.tolist())

    def _hits(self, tags: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
        """Of every tag on the list: its row, and its position in the list, in the order of rows and tags."""
        flat = pc.list_flatten(tags)
        positions = pc.index_in(flat, value_set=pa.array(self._blacklist, type=flat.type))
        hit = pc.is_valid(positions).to_numpy(zero_copy_only=False)
        lengths = pc.fill_null(pc.list_value_length(tags), 0).to_numpy()
        rows = np.repeat(np.arange(len(tags)), lengths)[hit]
        return rows, pc.drop_null(positions).to_numpy()
