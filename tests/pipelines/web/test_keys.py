"""Keys are read once, and then shown to nobody."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest

from manifests.errors import SetupError
from pipelines.web import keys
from pipelines.web.keys import Secret, scrub, take

KEY = "k/ey+with=odd&signs%~1234567890"


def test_a_secret_shows_itself_only_when_asked_by_name() -> None:
    secret = Secret(KEY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret]), repr({"a": secret})]
    assert all(KEY not in one and "<secret>" in one for one in shown)
    assert secret.reveal() == KEY
    assert not hasattr(secret, "__dict__")


def test_a_secret_cannot_travel() -> None:
    for move in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="stays in the process"):
            move(Secret(KEY))  # type: ignore[operator]


def test_the_fingerprint_is_the_same_for_the_same_key_only_and_holds_nothing_of_it() -> None:
    assert Secret(KEY).fingerprint() == Secret(KEY).fingerprint() != Secret(KEY + "x").fingerprint()
    assert len(Secret(KEY).fingerprint()) == 32
    assert KEY[:4] not in Secret(KEY).fingerprint()


def test_the_environment_goes_before_the_file_and_loses_its_keys(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# my keys\n\nexport UNSPLASH_ACCESS_KEY='fromfile'\nFLICKR_API_KEY = \"quoted#key\"\r\n"
        "FLICKR_API_SECRET=bare123 # a remark\nLHQ_CONTACT=me@example.org\nnot a line\nOTHER=1\n"
    )
    environ = {"UNSPLASH_ACCESS_KEY": " fromenv ", "LHQ_CONTACT": "", "PATH": "/bin"}
    found = take(environ, tmp_path)
    secrets = [found.unsplash, found.flickr, found.flickr_secret]
    assert [one.reveal() for one in secrets if one] == ["fromenv", "quoted#key", "bare123"]
    assert found.contact == "me@example.org"
    assert environ == {"LHQ_CONTACT": "", "PATH": "/bin"}
    assert "fromenv" not in repr(found)


def test_nothing_set_is_nothing_found(tmp_path: Path) -> None:
    assert take({}, tmp_path) == keys.Credentials()


@pytest.mark.parametrize("bad", ["two words", "línea", "abc\ndef", "abc", "tab\there", "x" * 401])
def test_what_cannot_be_a_key_is_refused_without_being_quoted(bad: str, tmp_path: Path) -> None:
    environ = {"FLICKR_API_KEY": bad}
    with pytest.raises(SetupError, match="FLICKR_API_KEY") as caught:
        take(environ, tmp_path)
    assert bad not in str(caught.value).removeprefix("FLICKR_API_KEY")
    assert environ == {}


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(SetupError, match=r"\.env cannot be read"):
        take({}, tmp_path)
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"UNSPLASH_ACCESS_KEY=\xff\xfesecret")
    with pytest.raises(SetupError, match=r"\.env cannot be read") as caught:
        take({}, tmp_path)
    assert caught.value.__cause__ is None


def test_scrubbing_finds_the_key_in_every_spelling() -> None:
    text = f"a {KEY} b {quote(KEY)} c {quote(KEY, safe='')} d"
    assert scrub(text.encode(), Secret(KEY)) == b"a <secret> b <secret> c <secret> d"
