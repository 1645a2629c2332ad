"""What a take-down asks for: ids, authors and addresses as a person types them, and the photos they fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests import addresses, plugins
from manifests.dataset import Dataset
from manifests.errors import MisuseError
from manifests.tombstones import AUTHOR, ID, URL, author_key, fold_name, name_key

_ID = re.compile(rf"{plugins.NAME.pattern}:.+", re.DOTALL)  # a file's name may have any character
_SHOWN = 5

Key = tuple[str, str]  # kind and key of a tombstone
Named = tuple[str | None, str | None]  # an author's name and address, as a row has them


@dataclass(frozen=True)
class Request:
    """Whose photos go: ids as the tables have them, addresses or names of authors, addresses of photos.

    `look_into`: addresses of earlier exports that may be asked whether they hold them.
    """

    ids: Sequence[str] = ()
    authors: Sequence[str] = ()
    urls: Sequence[str] = ()
    look_into: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """One thing that was asked for."""

    typed: str  # for messages
    keys: frozenset[Key]  # the tombstones that keep it away
    photo_ids: frozenset[str]  # of all rows that ever fitted, superseded ones included


def resolve(dataset: Dataset, request: Request) -> list[Asked]:
    """Every part of the request with what it fits, which may be nothing; MisuseError where it cannot be read."""
    if not (request.ids or request.authors or request.urls):
        raise MisuseError("say what to remove: --id, --author or --url; each may be repeated")
    asked = list(_by_id(dataset, request.ids)) if request.ids else []
    asked += _by_author(dataset, request.authors) if request.authors else []
    asked += _by_url(dataset, request.urls) if request.urls else []
    return asked


def _by_id(dataset: Dataset, ids: Sequence[str]) -> Iterator[Asked]:
    known = dataset.photos_table.read(["photo_id"])["photo_id"]
    for text in ids:
        photo_id = text.strip()
        if not _ID.fullmatch(photo_id):
            raise MisuseError(f"--id {text!r}: ids are written as in the tables, such as unsplash:NqkTxxK_2ZY")
        there = {photo_id} if pc.any(pc.equal(known, photo_id)).as_py() else ()
        yield Asked(f"--id {text}", frozenset({(ID, photo_id)}), frozenset(there))


def _by_author(dataset: Dataset, authors: Sequence[str]) -> Iterator[Asked]:
    rows = dataset.photos_table.read(["photo_id", "author", "author_url"])
    pairs = rows.group_by(["author", "author_url"]).aggregate([])
    key_of = {
        (name, url): author_key(name, url)
        for name, url in zip(pairs["author"].to_pylist(), pairs["author_url"].to_pylist(), strict=True)
    }
    for text in authors:
        keys = _author_keys(text, key_of)
        mine = [named for named, key in key_of.items() if key in keys]
        photo_ids = {
            photo_id
            for name, url in mine
            for photo_id in rows.filter(pc.and_(_is(rows["author"], name), _is(rows["author_url"], url)))[
                "photo_id"
            ].to_pylist()
        }
        yield Asked(f"--author {text}", frozenset((AUTHOR, key) for key in keys), frozenset(photo_ids))


def _is(values: pa.ChunkedArray, wanted: str | None) -> pa.ChunkedArray:
    return pc.is_null(values) if wanted is None else pc.fill_null(pc.equal(values, wanted), False)


def _author_keys(text: str, key_of: Mapping[Named, str | None]) -> set[str]:
    """The key of an address; of a name its own, and that of the one address that goes with it."""
    if "://" in text:
        key = addresses.author_key(text)
        if key is None:
            raise MisuseError(f"--author {text!r}: an address begins with https:// and a host; or give a name")
        return {key}
    folded = fold_name(text)
    if not folded:
        raise MisuseError("--author: give an author's address or name")
    by_address = {
        key: str(url)
        for (name, url), key in key_of.items()
        if key and key != name_key(folded) and fold_name(name or "") == folded
    }
    if len(by_address) > 1:
        shown = ", ".join(sorted(by_address.values())[:_SHOWN])
        raise MisuseError(f"--author {text!r}: {len(by_address)} authors have this name; give one's address: {shown}")
    return {name_key(folded), *by_address}


def _by_url(dataset: Dataset, urls: Sequence[str]) -> Iterator[Asked]:
    rows = dataset.photos_table.read(["photo_id", "page_url", "image_url"])
    for text in urls:
        key = addresses.photo_key(text)
        if key is None:
            raise MisuseError(f"--url {text!r}: give an address that begins with https:// and a host")
        photo_ids: set[str] = set()
        for column in ("page_url", "image_url"):
            some = _that_may_be(rows, column, key)
            pairs = zip(some["photo_id"].to_pylist(), some[column].to_pylist(), strict=True)
            photo_ids |= {photo_id for photo_id, url in pairs if addresses.photo_key(url) == key}
        yield Asked(f"--url {text}", frozenset({(URL, key)}), frozenset(photo_ids))


def _that_may_be(rows: pa.Table, column: str, key: str) -> pa.Table:
    """The few rows whose address has the longest word of the key in it, or escaped characters."""
    word = max(re.findall(r"[A-Za-z0-9]+", key.partition("/")[2]), key=len, default="")
    likely = pc.or_(pc.match_substring(rows[column], word), pc.match_substring(rows[column], "%"))
    return rows.filter(pc.fill_null(likely, False))
