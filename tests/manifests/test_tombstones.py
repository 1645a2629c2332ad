"""A tombstone covers its photo in every spelling and no other, and tells nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from manifests import schema
from manifests.dataset import Dataset
from manifests.records import Photo
from manifests.tombstones import AUTHOR, ID, URL, Tombstones, author_key, hash_of, salt

NOW = datetime(2024, 2, 3, tzinfo=UTC)
PHOTO = Photo(
    "unsplash:NqkTxxK_2ZY",
    "unsplash",
    "NqkTxxK_2ZY",
    NOW,
    page_url="https://unsplash.com/photos/a-lake-NqkTxxK_2ZY",
    image_url="https://images.unsplash.com/photo-1-a?ixid=x",
    author="Anna",
    author_url="https://unsplash.com/@anna",
)
OTHER = Photo(
    "unsplash:abcdefghijk", "unsplash", "abcdefghijk", NOW, author="Bert", author_url="https://unsplash.com/@bert"
)


def _stones(*keys: tuple[str, str]) -> Tombstones:
    bare = Tombstones(b"salt")
    return Tombstones(b"salt", frozenset(bare.stone(kind, key) for kind, key in keys))


@pytest.mark.parametrize(
    "key",
    [
        (ID, "unsplash:NqkTxxK_2ZY"),
        (AUTHOR, "unsplash.com/@anna"),
        (URL, "unsplash.com/photos/NqkTxxK_2ZY"),
        (URL, "images.unsplash.com/photo-1-a"),
    ],
)
def test_each_kind_covers_its_photo_and_no_other(key: tuple[str, str]) -> None:
    assert _stones(key).covers(PHOTO)
    assert not _stones(key).covers(OTHER)
    assert not Tombstones(b"salt").covers(PHOTO)


def test_kinds_are_not_mixed_up() -> None:
    assert not _stones((AUTHOR, "unsplash:NqkTxxK_2ZY"), (ID, "unsplash.com/@anna")).covers(PHOTO)


def test_an_author_without_an_address_is_known_by_name_alone() -> None:
    assert author_key(" ANNA  Maria", None) == author_key("anna maria", "") == author_key("Anna maria", "no address")
    assert author_key("Anna", None) != author_key("Anna", "https://unsplash.com/@anna")
    assert author_key(None, None) is author_key(" ", None) is None


def test_the_salt_of_a_dataset_is_its_own_and_changes_every_hash(tmp_path: Path) -> None:
    one, other = (Dataset.open_or_create(tmp_path / name, "0.1.0") for name in ("a", "b"))
    assert len(salt(one.root)) == 16
    assert salt(one.root) != salt(other.root)
    assert hash_of(salt(one.root), ID, PHOTO.photo_id) != hash_of(salt(other.root), ID, PHOTO.photo_id)
    assert salt(one.root).hex() not in repr(Tombstones.load(one))


def test_stones_are_read_from_their_table(tmp_path: Path) -> None:
    dataset = Dataset.open_or_create(tmp_path / "d", "0.1.0")
    assert Tombstones.load(dataset).stones == frozenset()
    kind, digest = Tombstones(salt(dataset.root)).stone(ID, PHOTO.photo_id)
    row = {"kind": kind, "removed_at": NOW, "hash": digest}
    dataset.tombstones_table.append(pa.Table.from_pylist([row], schema=schema.TOMBSTONES))
    assert Tombstones.load(dataset).covers(PHOTO)
    assert not Tombstones.load(dataset).covers(OTHER)
