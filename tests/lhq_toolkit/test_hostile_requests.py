"""Both pages' servers answer whatever is asked: with what there is or a refusal, and then still answer the next."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mangling import mangled_json
from reviewing import Serving, dataset_of, reviewing
from viewing import make_run, viewing

from manifests import recipes
from manifests.recipes import Recipe, Step

pytestmark = pytest.mark.slow  # each starts a program
ODD = ["", "0", "-1", "1e999", "9" * 5000, "NaN", "%00", "%ff", "\u0660", "'", '"', "<x>", "a" * 300, "../..", "0.1.1,"]
BODIES = [
    ("/api/decide", {"photo": "t:1", "verdict": "keep", "token": "t" * 16}),
    ("/api/undo", {"token": "t" * 16}),
    ("/api/list", {"kind": "in", "stage": None, "reason": None, "author": "x", "undecided": True, "sort": None}),
]


@dataclass(frozen=True)
class Visit:
    """Someone who came in."""

    host: str
    cookie: str

    def ask(self, method: str, address: str, body: bytes | None = None) -> int:
        """The status of the answer. The address goes as it is: a client library would tidy it."""
        line = "".join(one if "!" <= one <= "~" else quote(one, safe="", errors="replace") for one in address)
        headers = {"Host": self.host, "Cookie": self.cookie, "Origin": f"http://{self.host}"}
        with closing(http.client.HTTPConnection(self.host, timeout=60)) as connection:
            connection.request(method, line, body, {**headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            assert b"Traceback" not in answer.read()
            return answer.status


def visit(serving: Serving, visitor: str) -> Visit:
    with serving.client(visitor) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return Visit(serving.origin.removeprefix("http://"), cookie)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory) -> Iterator[Visit]:
    with viewing(make_run(tmp_path_factory.mktemp("view") / "run")) as serving:
        yield visit(serving, "0")


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory) -> Iterator[Visit]:
    root: Path = tmp_path_factory.mktemp("review") / "d"
    dataset_of(root, [{"title": f"photo {at}"} for at in range(3)])
    recipes.save(root, Recipe("curated", (Step("resolution", {"min_side": 20}),)))
    with reviewing(root) as serving:
        yield visit(serving, "anna")


def queries(*names: str) -> st.SearchStrategy[str]:
    """What stands after the ? of an address: some of these names, perhaps twice, with odd values."""
    pairs = st.tuples(st.sampled_from([*names, "x"]), st.sampled_from(ODD) | st.text(max_size=20))
    return st.lists(pairs, max_size=4).map(lambda some: "&".join(f"{name}={value}" for name, value in some))


@settings(derandomize=True, deadline=None)
@given(place=st.sampled_from(ODD) | st.integers(-3, 3).map(str), query=queries("seed", "truncation", "edits"))
def test_tiles(viewer, place, query):
    assert viewer.ask("GET", f"/tile/{place}?{query}") in (200, 400, 404)
    assert viewer.ask("GET", "/tile/0") == 200


@settings(derandomize=True, deadline=None)
@given(
    path=st.sampled_from(["/api/items", "/api/authors", "/api/start", "/thumb/x", "/view/x"]),
    query=queries("list", "first", "count", "has"),
)
def test_what_a_reviewer_reads(reviewer, path, query):
    assert reviewer.ask("GET", f"{path}?{query}") in (200, 400, 404, 410, 422)
    assert reviewer.ask("GET", "/api/start") == 200


@settings(derandomize=True, deadline=None)
@given(data=st.data())
def test_what_a_reviewer_writes(reviewer, data):
    path, sound = data.draw(st.sampled_from(BODIES))
    status = reviewer.ask("POST", path, data.draw(mangled_json(json.dumps(sound).encode())))
    assert status in (200, 400, 404, 422)
    assert reviewer.ask("GET", "/api/start") == 200
