"""The tags stage: rejects a photo that carries a blacklisted tag."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from manifests.tags import BLACKLIST, normalise_tag, read_list
from pipelines.engine.stage import GivenFile, Stage, StageSettings, Verdicts

JOINED = 3  # neighbouring words that may stand for one tag: "black and white" is blackandwhite

_NOT_IN_WORDS = r"[^\p{L}\p{M}\p{N}]+"


class TagsSettings(StageSettings):
    """Which lists the tags are held against; an empty text for a path means none, or the shipped list again.

    A list has one entry a line: a whole tag, or `prefix*`. What is on `allow` never counts as a hit, whatever the
    blacklist says: `allow` with carpathians takes one tag out of `car*`; a photo that carries `car` too is rejected.
    """

    blacklist: GivenFile = Field(default=None, description="file of a list to use instead of the shipped one")
    allow: GivenFile = Field(default=None, description="file of tags that never count as a hit")
    words: bool = Field(default=False, description="hold the words of title and description against the list too")


class Tags(Stage[TagsSettings]):
    """Rejects a photo when one of its normalised tags is on the blacklist and not allowed; without tags it passes.

    The value is the number of its tags (and words) that hit. The lists are read when first needed, so that a recipe
    whose list is gone can still be changed; SetupError then names what is wrong with it.
    """

    name = "tags"
    version = 1
    settings_type = TagsSettings

    @cached_property
    def _blacklist(self) -> list[str]:
        return sorted(read_list(self.settings.blacklist or BLACKLIST))

    @cached_property
    def _allowed(self) -> list[str]:
        return sorted(read_list(self.settings.allow)) if self.settings.allow else []

    def weights_hash(self) -> str:
        """Hash of the lists' entries: others give other verdicts, under the same settings."""
        lists = [self._blacklist, self._allowed] if self._allowed else [self._blacklist]
        return hashlib.sha256("\n--\n".join("\n".join(entries) for entries in lists).encode()).hexdigest()

    def reads(self) -> Sequence[str]:
        return ("tags", "title", "description") if self.settings.words else ("tags",)

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from `tags` (lists of normalised tags), with `words` also from `title` and `description`.

        The reason names the first tag that hit, in the photo's own order, and the pattern if it hit one.
        """
        on_list = _Matcher(self._blacklist, self._allowed)
        hits = np.zeros(view.num_rows)
        reason: npt.NDArray[np.object_] = np.full(view.num_rows, None, dtype=object)
        found = [_placed(view["tags"], partial(_tag_hits, on_list=on_list))]
        if self.settings.words:
            for name in ("title", "description"):
                found.append(_placed(view[name], partial(_word_hits, on_list=on_list, what=name)))
        for rows, texts in itertools.chain(*found):
            hit, first = np.unique(rows, return_index=True)
            new = hits[hit] == 0
            reason[hit[new]] = texts[first[new]]
            hits += np.bincount(rows, minlength=view.num_rows)
        return Verdicts(keep=(hits == 0).tolist(), reason=reason.tolist(), value=hits.tolist())


Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]  # rows in order, what to say of each


class _Matcher:
    """Says of tags which of them hit an entry of the list."""

    def __init__(self, entries: Iterable[str], allowed: Sequence[str] = ()) -> None:
        self.whole = [entry for entry in entries if not entry.endswith("*")]
        self.prefixes: dict[int, list[str]] = {}
        for entry in entries:
            if entry.endswith("*"):
                self.prefixes.setdefault(len(entry) - 1, []).append(entry[:-1])
        self._allowed = _Matcher(allowed) if allowed else None

    def __call__(self, tags: pa.Array, prefixes: bool = True) -> Hits:
        """Places of the tags that hit, and what to call each: the tag, with the pattern it hit if it hit one."""
        if not (prefixes and self.prefixes):
            return self._named(tags, np.flatnonzero(_true(self._among(tags, self.whole))))
        hit = _true(self._among(tags, self.whole))
        shortest = min(self.prefixes)
        starts = sorted({start[:shortest] for starts in self.prefixes.values() for start in starts})
        maybe = np.flatnonzero(_true(self._among(pc.utf8_slice_codeunits(tags, 0, shortest), starts)))
        distinct = pc.dictionary_encode(tags.take(pa.array(maybe)))
        of_pattern = np.zeros(len(distinct.dictionary), dtype=bool)
        for length, starts in self.prefixes.items():
            of_pattern |= _true(self._among(pc.utf8_slice_codeunits(distinct.dictionary, 0, length), starts))
        hit[maybe] |= of_pattern[distinct.indices.to_numpy()]
        return self._named(tags, np.flatnonzero(hit))

    @staticmethod
    def _among(tags: pa.Array, entries: Sequence[str]) -> pa.Array:
        return pc.is_in(tags, value_set=pa.array(entries, tags.type))

    def _named(self, tags: pa.Array, at: npt.NDArray[np.int64]) -> Hits:
        distinct = pc.dictionary_encode(tags.take(pa.array(at)))
        names = np.array([self._name(tag) for tag in distinct.dictionary.to_pylist()], dtype=object)
        if self._allowed is not None:
            names[self._allowed(distinct.dictionary)[0]] = None
        if not len(names):
            return at, names
        codes = distinct.indices.to_numpy()
        there = np.array([name is not None for name in names])[codes]
        return at[there], names[codes[there]]

    def _name(self, tag: str) -> str:
        if tag in self.whole:
            return tag
        return next(f"{tag} ({tag[:size]}*)" for size, starts in self.prefixes.items() if tag[:size] in starts)


def _placed(column: pa.ChunkedArray, hits_of: Callable[[pa.Array], Hits]) -> Iterator[Hits]:
    """The hits of each chunk, with rows counted through the column."""
    start = 0
    for chunk in column.chunks:
        rows, texts = hits_of(chunk)
        yield rows + start, texts
        start += len(chunk)


def _tag_hits(tags: pa.ListArray, on_list: _Matcher) -> Hits:
    """Of every tag on the list its row and reason, in the order of rows and tags."""
    at, names = on_list(pc.list_flatten(tags))
    return _rows_of(tags, at), _after("tag", names)


def _word_hits(texts: pa.Array, on_list: _Matcher, what: str) -> Hits:
    """Of every word, and every run of up to three words that make one tag together, its row and reason."""
    words = pc.split_pattern_regex(texts, _NOT_IN_WORDS)
    distinct = pc.dictionary_encode(pc.list_flatten(words))
    normal = pa.array([normalise_tag(word) for word in distinct.dictionary.to_pylist()], texts.type)
    flat = normal.take(distinct.indices)
    there = np.flatnonzero(_true(pc.not_equal(flat, "")))
    flat, rows = flat.take(pa.array(there)), _rows_of(words, there)
    found = [on_list(flat)]
    run, starts = flat, np.arange(len(rows))
    for length in range(2, JOINED + 1):
        inside = starts + length - 1 < len(rows)
        inside[inside] = rows[starts[inside]] == rows[starts[inside] + length - 1]
        inside &= _begins(run, on_list.whole)
        starts = starts[inside]
        run = pc.binary_join_element_wise(
            run.filter(pa.array(inside)), flat.take(pa.array(starts + length - 1)), pa.scalar("", flat.type)
        )
        at, names = on_list(run, prefixes=False)
        found.append((starts[at], names))
    at = np.concatenate([starts for starts, _ in found])
    order = np.argsort(at, kind="stable")
    return rows[at[order]], _after(what, np.concatenate([names for _, names in found])[order])


def _after(what: str, names: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """`what: name`, one string per name however often it comes."""
    said = {name: f"{what}: {name}" for name in dict.fromkeys(names.tolist())}
    return np.array([said[name] for name in names.tolist()], dtype=object)


def _begins(words: pa.Array, tags: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether a longer tag begins with the word."""
    beginnings = {tag[:length] for tag in tags for length in range(1, len(tag))}
    return _true(pc.is_in(words, value_set=pa.array(sorted(beginnings), words.type)))


def _rows_of(lists: pa.ListArray, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows that the values at these places of the flattened lists belong to."""
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))
    return np.searchsorted(ends, at, side="right")


def _true(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
