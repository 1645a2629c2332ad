"""What is left of photos that were taken down: enough to leave them out of later crawls, and no more.

A tombstone is a kind, a date and a hash: of a photo's id, of an author's address (or name, where no address is known),
or of a photo's address, each in the form it is compared in. The hash is keyed with the dataset's own salt, so that
tombstones of two datasets cannot be matched with each other or looked up in a table made beforehand. Whoever has the
dataset can still test whether one given photo is among them: that is what a crawl does.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from manifests import about, addresses
from manifests.dataset import Dataset
from manifests.records import Photo

ID, AUTHOR, URL = "id", "author", "url"  # tombstones.kind

Stone = tuple[str, str]  # kind, hash


@dataclass(frozen=True)
class Tombstones:
    """Every tombstone of a dataset."""

    salt: bytes = field(repr=False)
    stones: frozenset[Stone] = frozenset()

    @staticmethod
    def load(dataset: Dataset) -> Tombstones:
        """Those that stand now."""
        rows = dataset.tombstones_table.read(["kind", "hash"])
        stones = zip(rows["kind"].to_pylist(), rows["hash"].to_pylist(), strict=True)
        return Tombstones(salt(dataset.root), frozenset(stones))

    def stone(self, kind: str, key: str) -> Stone:
        """The tombstone of a key, whether it stands or not."""
        return kind, hash_of(self.salt, kind, key)

    def holds(self, kind: str, key: str) -> bool:
        """Whether the tombstone of a key stands."""
        return self.stone(kind, key) in self.stones

    def covers(self, photo: Photo) -> bool:
        """Whether the photo, its author or one of its addresses was taken down."""
        return bool(self.stones) and any(self.holds(kind, key) for kind, key in keys(photo))


def keys(photo: Photo) -> Iterator[tuple[str, str]]:
    """Kind and key of everything that a tombstone could name this photo by."""
    yield ID, photo.photo_id
    author = author_key(photo.author, photo.author_url)
    if author is not None:
        yield AUTHOR, author
    for url in (photo.page_url, photo.image_url):
        if url and (key := addresses.photo_key(url)) is not None:
            yield URL, key


def author_key(name: str | None, url: str | None) -> str | None:
    """What an author is compared by: the address, else the name; None where neither is known."""
    if url and (key := addresses.author_key(url)) is not None:
        return key
    return name_key(folded) if name and (folded := fold_name(name)) else None


def name_key(folded: str) -> str:
    """What an author without an address is compared by; no address has a space."""
    return f"name {folded}"


def fold_name(name: str) -> str:
    """A name without differences of letter case, spaces and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def hash_of(salt: bytes, kind: str, key: str) -> str:
    """Keyed BLAKE2b, 256 bits, of kind and key."""
    text = f"{kind}\0{key}".encode(errors="surrogatepass")
    return hashlib.blake2b(text, key=salt, digest_size=32).hexdigest()


def salt(root: Path) -> bytes:
    """The dataset's salt; empty where a toolkit before tombstones made it and nothing was removed yet."""
    return bytes.fromhex(about.read(root)["salt"])
