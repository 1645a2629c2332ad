"""A crawl on a Ray cluster of two nodes: it uses both, survives the death of one, and keeps its limits."""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import FakeWeb, Plan
from fakes.faults import IMAGES, Fault, Place
from web_crawl import Crawl, assert_complete, made_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RATE = 40  # image requests a second, of each host
CONNECTIONS = 6
SLOW = Plan([Fault("slow", place, 1.0, times=1, seconds=0.3) for place in IMAGES])

# Started in a process of its own, so that neither its Ray nor its environment meets that of the tests.
CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(json.dumps({"address": cluster.address}), flush=True)
sys.stdin.readline()
cluster.remove_node(other, allow_graceful=False)
print("removed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@dataclass
class Cluster:
    """Two nodes with one processor each; `kill_node` ends the one that is not the head."""

    process: subprocess.Popen[str]
    address: str

    def kill_node(self) -> None:
        self._say()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "removed\n"

    def _say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def cluster(**env: str) -> Iterator[Cluster]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **env},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield Cluster(process, json.loads(process.stdout.readline())["address"])
    finally:
        process.communicate("\n\n", timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[Crawl]:
    world, asked = made_up(500, 8)
    with FakeWeb(world, SLOW) as web:
        yield Crawl(web, tmp_path, asked)


def busiest_at_once(crawl: Crawl, place: Place) -> int:
    """The most requests under way at the same moment, of those that ran to their end: each took at least 0.3 s."""
    asked = Counter(entry.item for entry in crawl.web.entries(place))
    times = sorted(entry.at for entry in crawl.web.entries(place) if asked[entry.item] == 1)
    return max(bisect.bisect_left(times, at + 0.3) - first for first, at in enumerate(times))


def test_a_node_that_dies_in_the_middle_costs_nothing_and_the_limits_hold(crawl):
    limits = ("--image-rate", f"{RATE}/s", "--connections", CONNECTIONS, "--workers", 2)
    with cluster() as nodes:
        command = crawl.command("--ray-address", nodes.address, *limits, "--json")
        process = subprocess.Popen(command, env=crawl.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while len(crawl.web.entries(*IMAGES)) < 60:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        nodes.kill_node()
        at_death = len(crawl.web.entries(*IMAGES))
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert max(Counter(entry.item for entry in crawl.web.entries(*IMAGES)).values()) > 1, "it died with work in hand"
    assert at_death < len(crawl.web.world.wanted(crawl.queries)), "it died in the middle"
    assert json.loads(out)["failed"] == 0
    assert_complete(crawl)
    for place in IMAGES:
        assert crawl.web.busiest(place, 1.0) <= RATE
        assert busiest_at_once(crawl, place) <= CONNECTIONS


def test_a_node_with_another_checkout_is_refused(crawl, tmp_path):
    """The workers of this cluster import a copy of the project in which one line differs."""
    here = Path(__file__).parents[2]
    other = tmp_path / "checkout"
    for package in ("manifests", "models", "pipelines"):
        shutil.copytree(here / package, other / package)
    with (other / "manifests" / "errors.py").open("a") as stream:
        stream.write("\n# another checkout\n")
    with cluster(PYTHONPATH=str(other)) as nodes:
        ran = subprocess.run(
            crawl.command("--ray-address", nodes.address),
            env={**crawl.env, "PYTHONPATH": str(here)},
            cwd=tmp_path,  # Ray lends its workers the directory that the driver runs in
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "another checkout" in ran.stderr
    assert not crawl.web.entries(*IMAGES)
