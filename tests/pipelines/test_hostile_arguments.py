"""Lists, keys, settings and addresses that a person gives may be anything: they are read, or refused in our words."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from mangling import FEW_OR_MANY, OTHERS, mangled, mangled_json, tried

from lhq_toolkit.doctor import _named_in
from manifests import queries, tags
from manifests.errors import InputError, LhqError, SetupError
from manifests.recipes import Recipe
from pipelines.export.place import Remote
from pipelines.filter import Request, changed, parse_settings
from pipelines.filters import OURS, objects_thresholds
from pipelines.sources.flickr_windows import Windows
from pipelines.sources.lsun import Lsun
from pipelines.web import keys
from pipelines.web.fields import stored

pytestmark = pytest.mark.slow

LISTS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "queries": (queries.read_queries, b"# ours\nmountain lake\n  sea \xc3\xa9 \n\nfog"),
    "tags": (tags.read_list, b"car\nface*\n# no more\n\xe5\x8f\xb0\xe6\xb9\xbe"),
    "classes": (objects_thresholds.read, b"person 0.5 0.001\n# small things\ndining table 0.9 0\n"),
    "keys": (lambda path: keys.take({}, path.parent), b"export FLICKR_API_KEY='abcdef'\nLHQ_CONTACT=a@b.org # me\n"),
    "keys, for the doctor": (_named_in, b"FLICKR_API_KEY=abcdef\nUNSPLASH_ACCESS_KEY=\n"),
}


def read_or_refused(read: Callable[[], object], *names: str) -> None:
    try:
        read()
    except LhqError as error:
        told = str(error)
        assert told.isprintable(), told
        assert any(name in told for name in names), told


@pytest.mark.parametrize("what", LISTS)
@FEW_OR_MANY
def test_a_list_that_is_given_as_a_file(tmp_path, what, many):
    read, sound = LISTS[what]
    path = tmp_path / ".env"
    path.write_bytes(sound)
    assert read(path)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        read_or_refused(lambda: read(path), str(path), keys.FLICKR_KEY)

    repeated = st.sampled_from([sound + sound.splitlines()[0], b"a\x1b[31mb 1 0\n" * 2, b"\x1b\n" * 2])
    tried(check, mangled(sound) | st.text().map(str.encode) | repeated, few=40, many=many)


@pytest.mark.parametrize("what", LISTS)
def test_a_list_without_end_is_not_waited_for(tmp_path, what):
    path = tmp_path / ".env"
    path.symlink_to("/dev/zero")
    tracemalloc.start()
    try:
        read_or_refused(lambda: LISTS[what][0](path), "has more than 16,777,216 bytes")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


@FEW_OR_MANY
def test_settings_of_stages(tmp_path, many):
    names = [f"{stage}.{name}" for stage, kind in OURS.items() for name in kind.settings_type.model_fields]
    odd = st.sampled_from(
        ["", "nan", "-1", "1e999", "9" * 5000, "../../x", "/dev/null", "~nobody/x", "\0", "é", "true", "[", "None"]
    )
    texts = st.builds(
        lambda name, value, between: f"{name}{between}{value}",
        st.sampled_from([*names, "tags", "nothing.x", ".", ""]),
        odd | st.text(max_size=9) | st.integers().map(str) | st.floats().map(str),
        st.sampled_from(["=", "=", "=", "", "=="]),
    )

    def check(given: list[str]) -> None:
        try:
            settings = parse_settings(given)
            recipe = changed(Recipe("curated"), Request(stages=tuple(settings), settings=settings))
        except SetupError:
            return
        json.loads(recipe.to_json())

    tried(check, st.lists(texts, min_size=1, max_size=2), few=60, many=many)


@FEW_OR_MANY
def test_addresses_to_export_to(monkeypatch, many):
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    kinds = ["file", "memory", "http", "https", "s3", "zip", "tar", "simplecache", "filecache", "reference"]
    kinds += ["github", "git", "data", "dir", "local", "nothing", "", "blockcache", "cached", "hdfs", "sftp", "jlab"]
    places = st.builds(
        lambda kind, between, rest: f"{kind}{between}{rest}",
        st.sampled_from(kinds),
        st.sampled_from(["://", "://", ":///", "::file://", "::"]),
        st.sampled_from(["", "x/y", "[::1", "a:b@c/", "//", "..", "x?y=z", "x::y://z", "%00", "\0", "é", "/" * 50])
        | st.text(max_size=9),
    )

    def check(url: str) -> None:
        try:
            place = Remote.open(url)
            if place.protocol not in ("file", "local", ""):
                place.read("SHA256SUMS")
        except LhqError:
            pass

    tried(check, places, few=80, many=many)


SOUND = Windows(((1, 5), (6, 9)), 2, 40).written()


@FEW_OR_MANY
def test_what_a_crawl_noted_of_where_it_stands(many):
    assert Windows.read(SOUND) == Windows(((1, 5), (6, 9)), 2, 40)

    def check(data: bytes) -> None:
        text = data.decode(errors="replace")
        stored(text)
        read = Windows.read(text)
        assert read is None or Windows.read(read.written()) == read

    tried(check, mangled_json(SOUND.encode()), few=60, many=many)


@pytest.mark.parametrize("extra", [*OTHERS, "", None, "[" * 50_000, '{"database": ["x"]}', '{"database": "../x"}'])
def test_a_row_of_lsun_that_names_no_database_is_an_error_of_its_own(extra):
    source = object.__new__(Lsun)
    source._folders = {}
    with pytest.raises(InputError, match="names no database"):
        source.prepare({"extra": extra})
