"""`lhq serve` as a process: who gets in, what is answered to bad requests, and that a flood harms nobody else."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from reviewing import free_port
from running import lhq_command
from viewing import FRAME, SPAN, TILE, apart, columns, decoded, generator_of, make_run, viewing

from lhq_toolkit.guard import HEADERS
from lhq_toolkit.serve.server import open_run
from lhq_toolkit.serve.tiles import WAITING
from manifests.errors import MisuseError

pytestmark = pytest.mark.slow  # each starts the program

CROWD = 60  # requests at once


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("serve") / "run")


@pytest.fixture(scope="module")
def served(run):
    """A server with a cache of 1 MiB, and one who came in."""
    with viewing(run, "--cache", 1, viewers=3) as serving, serving.client("0") as client:
        yield serving, client


def test_without_its_address_nothing_is_served_and_a_used_one_is_dead(served):
    serving, _ = served
    for path in ("/", "/api/start", "/api/numbers", "/page.js", "/tile/0", "/enter", "/enter?token=wrong"):
        answer = httpx.get(serving.origin + path)
        assert answer.status_code in (401, 403), path
        assert answer.headers["content-type"].startswith("text/plain")
    assert httpx.get(serving.addresses["0"]).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_a_foreign_host_origin_or_site_gets_nothing(served, headers):
    _, client = served
    for path in ("/", "/tile/0", "/api/start"):
        assert client.get(path, headers=headers).status_code == 403


def test_nothing_is_changed_by_any_request_so_only_reading_is_let_in(served):
    _, client = served
    for path in ("/tile/0", "/api/start", "/api/numbers", "/"):
        assert client.post(path, json={}).status_code == 405
        assert client.delete(path).status_code == 405


def test_every_answer_carries_the_policy_and_is_not_kept_by_the_browser(served):
    _, client = served
    for path in ("/", "/page.js", "/base.css", "/icon.svg", "/api/start", "/tile/0", "/tile/x", "/nothing"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, path
        assert answer.headers["Cache-Control"] == "no-store", path
    for path in ("/../app.py", "/%2e%2e/app.py", "/page/../../app.py", "/docs", "/openapi.json", "/tile/0/1"):
        assert client.get(path).status_code == 404


def test_tiles_are_those_of_the_seed_and_place_that_were_asked_for(served, run):
    _, client = served
    facts = client.get("/api/start").json()
    assert (facts["tile"], facts["frame"], facts["span"]) == (TILE, FRAME, SPAN)
    assert (facts["model"], facts["run"], facts["images"]) == ("alis", "run", 8)
    generator = generator_of(run)
    for index, seed in ((0, 0), (-7, 2**64 - 1), (facts["tiles"] - 1, 3), (-facts["tiles"], 3)):
        answer = client.get(f"/tile/{index}", params={"seed": str(seed)})
        assert answer.headers["content-type"] == "image/png"
        assert apart(decoded(answer.content), columns(generator, index * TILE, TILE, seed)) <= 1
        assert client.get(f"/tile/{index}", params={"seed": str(seed)}).content == answer.content


def test_an_edit_leaves_what_it_does_not_reach_and_undone_gives_the_same_bytes(served):
    _, client = served
    before = [client.get(f"/tile/{at}").content for at in range(5)]
    edited = [client.get(f"/tile/{at}", params={"edits": "4.1.9"}).content for at in range(5)]
    assert [one == other for one, other in zip(before, edited, strict=True)] == [True, False, False, True, True]
    ours, theirs = decoded(before[1]), decoded(edited[1])
    np.testing.assert_array_equal(ours[:, :SPAN], theirs[:, :SPAN])
    assert apart(ours, theirs) > 10
    assert [client.get(f"/tile/{at}").content for at in range(5)] == before


BAD = {
    "tile": ["/tile/x", "/tile/1.5", f"/tile/{2**62}", "/tile/-99999999999999999999999", "/tile/%00", "/tile/NaN"],
    "seed": ["/tile/0?seed=-1", f"/tile/0?seed={2**64}", "/tile/0?seed=", "/tile/0?seed=1e3"],
    "truncation": [f"/tile/0?truncation={one}" for one in ("NaN", "inf", "1.5", "-1", "", "x")],
    "edits": ["/tile/0?edits=1", "/tile/0?edits=1.1.1,", f"/tile/0?edits=1.1.{2**64}", "/tile/0?edits=9e9.1.1"],
}


@pytest.mark.parametrize("path", [one for every in BAD.values() for one in every])
def test_what_no_address_may_hold_is_answered_with_a_sentence(served, path):
    _, client = served
    answer = client.get(path)
    assert answer.status_code == 400
    name = next(name for name, every in BAD.items() if path in every)
    assert answer.json()["detail"].startswith(name)
    assert 20 < len(answer.json()["detail"]) < 200


def resident(process: subprocess.Popen[str]) -> int:
    """Bytes of memory that a process holds."""
    words = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(words[1]) * 4096


def test_a_flood_of_requests_is_refused_keeps_memory_bounded_and_others_are_answered(served):
    serving, client = served
    cookies = dict(client.cookies)
    client.get("/tile/0")
    before = client.get("/api/numbers").json()
    held = resident(serving.process)

    async def flood() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=CROWD, keepalive_expiry=1)
        async with httpx.AsyncClient(base_url=serving.origin, cookies=cookies, limits=limits, timeout=120) as many:
            rounds = [[f"/tile/{at * 7}?seed={at + turn}" for at in range(CROWD)] for turn in (1, 1000, 2000)]
            return [one for every in rounds for one in await asyncio.gather(*map(many.get, every))]

    async def both() -> tuple[list[httpx.Response], list[httpx.Response]]:
        flooding = asyncio.create_task(flood())
        found = []
        async with httpx.AsyncClient(base_url=serving.origin, timeout=120) as other:
            await other.get(serving.addresses["1"])
            while not flooding.done():
                found.append(await other.get(f"/tile/{len(found)}?seed=1"))
                found.append(await other.get("/api/start"))
                await asyncio.sleep(0.05)
        return await flooding, found

    flooded, others = asyncio.run(both())
    codes = {answer.status_code for answer in flooded}
    assert codes == {200, 503}
    assert len(flooded) == 3 * CROWD
    refused = [answer for answer in flooded if answer.status_code == 503]
    assert all(answer.headers["Retry-After"] == "1" for answer in refused)
    assert "ask again later" in refused[0].json()["detail"]
    assert len(others) >= 4
    assert {answer.status_code for answer in others} == {200}, "the other visitor was never refused"
    numbers = client.get("/api/numbers").json()
    assert numbers["refused"] - before["refused"] == len(refused)
    assert numbers["waiting"] == 0
    assert numbers["kept_bytes"] <= numbers["kept_limit"] == 2**20
    assert resident(serving.process) - held < 64 * 2**20
    assert client.get("/tile/3").status_code == 200


def test_what_the_viewer_no_longer_wants_is_dropped(served):
    serving, client = served
    cookies = dict(client.cookies)
    before = client.get("/api/numbers").json()

    async def leave() -> None:
        async with httpx.AsyncClient(base_url=serving.origin, cookies=cookies, timeout=60) as many:
            asked = [asyncio.create_task(many.get(f"/tile/{at}?seed=99")) for at in range(WAITING)]
            while client.get("/api/numbers").json()["waiting"] < WAITING // 2:
                await asyncio.sleep(0.01)
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(leave())
    deadline = time.monotonic() + 30
    while (after := client.get("/api/numbers").json())["waiting"]:
        assert time.monotonic() < deadline, after
    made, dropped = (after[name] - before[name] for name in ("made", "dropped"))
    assert made + dropped <= WAITING
    assert dropped > 0


def test_it_says_for_a_person_what_is_served_where_keeps_the_token_to_itself_and_ends_by_ctrl_c(run):
    command = lhq_command("serve", run, "--port", free_port(), "--device", "cpu", "--threads", 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert "alis at 16x16, 8 images seen, on cpu" in lines[0]
        address = lines[1].strip()
        assert "Ctrl-C" in lines[2]
        assert httpx.get(address).status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, "as the review ends"
    assert address.partition("token=")[2] not in out + err
    assert "Traceback" not in err


def test_a_model_without_an_endless_image_is_refused(tmp_path):
    with pytest.raises(MisuseError, match="stylegan2 makes single frames"):
        open_run(make_run(tmp_path / "single", "stylegan2"), torch.device("cpu"), "last")


def test_misuse_is_one_line(lhq, run):
    for arguments, says in (
        ((run, "--bind", "0.0.0.0"), "every network"),
        ((run, "--bind", "192.0.2.1"), "--allow-remote"),
    ):
        ran = lhq("serve", *arguments, "--device", "cpu")
        assert ran.code == 2, ran.err
        assert says in ran.err
        assert len(ran.err.strip().splitlines()) == 1
        assert ran.out == ""
