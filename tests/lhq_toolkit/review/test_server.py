"""`lhq review` as a process: who gets in, what is served and what is not, and that no decision is lost."""

from __future__ import annotations

import io
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from PIL import Image
from reviewing import dataset_of, decide, free_port, ids, items, reviewing
from running import lhq_command

from lhq_toolkit.guard import HEADERS
from manifests import recipes, reviews
from manifests.dataset import Dataset
from manifests.recipes import Recipe, Step

pytestmark = pytest.mark.slow  # each starts the program

COUNT = 12


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("server") / "d"
    dataset_of(root, [{"title": f"photo {at}", "size": (300, 200 + at)} for at in range(COUNT)])
    recipes.save(root, Recipe("curated", (Step("resolution", {"min_side": 204}),)))
    (root.parent / "secret.jpg").write_bytes(b"\xff\xd8 not of the dataset \xff\xd9")
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "d", ignore=shutil.ignore_patterns("thumbnails")))


@pytest.fixture(scope="module")
def served(original: Path):
    """A server for tests that change nothing."""
    with reviewing(original) as serving, serving.client("anna") as client:
        yield serving, client


def test_without_its_address_nothing_is_served(served):
    serving, _ = served
    for path in ("/", "/api/start", "/page.js", "/thumb/" + "0" * 64, "/enter", "/enter?token=wrong"):
        answer = httpx.get(serving.origin + path)
        assert answer.status_code in (401, 403), path
        assert "photo" not in answer.text
    used = httpx.get(serving.addresses["anna"])
    assert used.status_code == 403, "a used token"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_foreign_host_or_origin_gets_nothing_and_changes_nothing(served, original, headers):
    _, client = served
    body = {"photo": "t:1", "verdict": "reject", "token": "t" * 16}
    assert client.post("/api/decide", json=body, headers=headers).status_code == 403
    assert client.get("/api/start", headers=headers).status_code == 403
    assert reviews.load(original).standing == {}


def test_a_form_of_another_page_changes_nothing(served, original):
    _, client = served
    assert client.post("/api/decide", data={"photo": "t:1"}).status_code == 415
    client_without_origin = httpx.Client(base_url=client.base_url, cookies=client.cookies)
    body = {"photo": "t:1", "verdict": "reject", "token": "t" * 16}
    assert client_without_origin.post("/api/decide", json=body).status_code == 403
    assert reviews.load(original).standing == {}


OUTSIDE = [
    "../secret.jpg",
    "..%2fsecret.jpg",
    "%2e%2e%2fsecret.jpg",
    "....//secret.jpg",
    "dataset.json",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "a\\..\\secret.jpg",
    "%00",
    "0" * 64,
    "0" * 5000,
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("place", ["/thumb/", "/view/", "/"])
def test_only_files_of_the_dataset_are_served(served, original, name, place):
    serving, client = served
    address, port = serving.origin.removeprefix("http://").split(":")
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    head = f"GET {place}{name.replace(' ', '%20')} HTTP/1.1\r\nHost: {address}:{port}\r\nCookie: {cookie}\r\n"
    with socket.create_connection((address, int(port))) as raw:  # as typed: a client library would tidy the path
        raw.sendall(f"{head}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"400", b"404", b"405"), answer[:200]
    assert b"not of the dataset" not in answer
    assert b"root:" not in answer


def test_thumbnails_and_single_views_are_jpegs_of_the_photos(served, original):
    _, client = served
    item = items(client, kind="all")[3]
    small, large = client.get(f"/thumb/{item['file']}"), client.get(f"/view/{item['file']}")
    for answer, size in ((small, (300, 203)), (large, (300, 203))):
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == size
    assert "no-store" not in small.headers["cache-control"]
    assert "private" in small.headers["cache-control"]


def test_every_answer_carries_the_policy(served):
    _, client = served
    item = items(client, kind="all")[0]
    for path in ("/", "/page.js", "/style.css", "/api/start", f"/thumb/{item['file']}", "/nothing"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"photo": "t:1", "verdict": "maybe", "token": "t" * 16},
        {"photo": "t:1", "verdict": "keep", "token": "t" * 16, "reviewer": "bert"},
        {"photo": ["t:1"], "verdict": "keep", "token": "t" * 16},
        {"photo": "t:1", "verdict": "keep", "token": ""},
        {"photo": "t" * 5000, "verdict": "keep", "token": "t" * 16},
    ],
)
def test_what_is_no_decision_is_refused(served, original, body):
    _, client = served
    assert client.post("/api/decide", json=body).status_code == 422
    assert reviews.load(original).standing == {}
    assert decide(client, "t:100", "keep").status_code == 404


def test_a_damaged_or_lost_file_is_said_to_be_and_the_rest_goes_on(root):
    with reviewing(root) as serving, serving.client("anna") as client:
        first, second, third = items(client, kind="all")[:3]
        paths = {row["photo_id"]: root / row["path"] for row in Dataset.open(root).files().to_pylist()}
        paths[first["id"]].unlink()
        paths[second["id"]].write_bytes(paths[second["id"]].read_bytes()[:200])
        for place in ("/thumb/", "/view/"):
            assert [client.get(place + one["file"]).status_code for one in (first, second, third)] == [410, 410, 200]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_was_answered_is_there_after_the_server_was_ended(root, how):
    with reviewing(root) as serving, serving.client("anna") as client:
        for at in range(6):
            assert decide(client, f"t:{at}", "reject" if at % 2 else "keep").status_code == 200
        assert serving.stop(how) == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    standing = reviews.load(root).standing
    assert {one: said["anna"].verdict for one, said in standing.items()} == {
        f"t:{at}": "reject" if at % 2 else "keep" for at in range(6)
    }
    with reviewing(root) as serving, serving.client("anna") as client:
        assert client.get("/api/start").json()["mine"] == 6
        assert ids(client, kind="all") == [f"t:{at}" for at in range(6, COUNT)]
        assert client.post("/api/undo", json={"token": "u" * 16}).json()["photo"] == "t:5"
    saved = recipes.load(root, "curated")
    assert saved is not None
    assert (saved.reviews is None) == (how == signal.SIGKILL)


def test_two_reviewers_in_two_programs_see_each_other(root):
    with (
        reviewing(root, "anna") as one,
        reviewing(root, "bert") as other,
        one.client("anna") as anna,
        other.client("bert") as bert,
    ):
        for at in range(4):
            decide(anna, f"t:{at}", "keep")
            decide(bert, f"t:{at}", "reject" if at == 2 else "keep")
        for client in (anna, bert):
            assert ids(client, kind="disagreements", undecided=False) == ["t:2"]
            assert client.get("/api/start").json()["disagreements"] == 1
        assert bert.post("/api/undo", json={"token": "u" * 16}).json()["photo"] == "t:3"
        assert anna.get("/api/start").json()["mine"] == 4, "each undoes their own"


def test_two_reviewers_at_one_server_have_an_address_each(root):
    with reviewing(root, "anna", "bert") as serving, serving.client("bert") as bert, serving.client("anna") as anna:
        assert bert.get("/api/start").json()["reviewer"] == "bert"
        decide(anna, "t:0", "keep")
        assert ids(bert, kind="all")[0] == "t:0", "bert has not decided it"
        assert ids(anna, kind="all")[0] == "t:1"


def test_the_addresses_are_printed_for_a_person_and_the_token_stands_nowhere_else(root):
    command = lhq_command("review", root, "--reviewer", "anna", "--port", free_port())
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert f"{COUNT} photos" in lines[0]
        name, address = lines[1].split()
        assert name == "anna:"
        assert "Ctrl-C" in lines[2]
        assert httpx.get(address).status_code == 200
        httpx.get(address.partition("/enter")[0] + f"/thumb/{quote('x y')}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    token = address.partition("token=")[2]
    assert token not in out + err
    assert "Traceback" not in err
    for path in root.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--bind", "0.0.0.0"), "every network"),
        (("--bind", "192.0.2.1"), "--allow-remote"),
        (("--bind", "somewhere"), "IP address"),
        (("--reviewer", " "), "--reviewer"),
        (("--reviewer", "x" * 65), "--reviewer"),
        (("--subset", "none"), "no subset is called"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(lhq, original, arguments, says):
    ran = lhq("review", original, *arguments)
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.out == ""


def test_a_dataset_that_is_none_is_refused(lhq, tmp_path):
    ran = lhq("review", tmp_path / "none")
    assert ran.code == 2
    assert "is not a dataset" in ran.err
    assert not (tmp_path / "none").exists()


def test_the_manifest_and_removal_know_what_was_reviewed(lhq, root):
    with reviewing(root) as serving, serving.client("anna") as client:
        first = items(client, kind="all")[0]
        client.get(f"/thumb/{first['file']}")
        decide(client, first["id"], "keep")
        assert (root / "thumbnails" / first["file"][:2] / f"{first['file']}.jpg").exists()
        ran = lhq("remove", root, "--id", first["id"], "--yes", "--json")
        assert ran.code == 0, ran.err
        assert ran.json["rows"]["reviews.sqlite"] == 1
        assert client.get(f"/thumb/{first['file']}").status_code == 404
        assert not list((root / "thumbnails").rglob(f"*{first['file']}*"))
        assert decide(client, first["id"], "keep").status_code == 404
        assert len(ids(client, kind="all")) == COUNT - 1
    assert first["id"].encode() not in (root / reviews.NAME).read_bytes()
