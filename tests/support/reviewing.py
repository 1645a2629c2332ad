"""`lhq review` as a process of its own, and who comes to its page: a plain client, or a real browser."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
from PIL import Image
from running import lhq_command
from tabs import came_in

from manifests import reviews, schema
from manifests.dataset import Dataset

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PHOTOS = 60  # of the dataset that the page's tests review
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@dataclass
class Serving:
    """A running page."""

    process: subprocess.Popen[str]
    addresses: Mapping[str, str]  # by visitor; each works once
    photos: int = 0  # of a review

    @property
    def origin(self) -> str:
        parts = urlsplit(next(iter(self.addresses.values())))
        return f"{parts.scheme}://{parts.netloc}"

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End the server; returns its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    @contextmanager
    def client(self, visitor: str) -> Iterator[httpx.Client]:
        """A client that came in by the visitor's address and says where its requests come from."""
        with httpx.Client(base_url=self.origin, headers={"Origin": self.origin}, timeout=30) as client:
            answer = client.get(self.addresses[visitor])
            assert answer.status_code == 200, answer.text
            yield client


def free_port() -> int:
    """A port of the loopback on which nothing listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def reviewing(dataset: Path, *reviewers: str, port: int | None = None, more: tuple[str, ...] = ()) -> Iterator[Serving]:
    """`lhq review` of the dataset while the context lasts, unless it is stopped before."""
    names = [part for name in reviewers or ("anna",) for part in ("--reviewer", name)]
    with started("review", dataset, *names, "--port", port or free_port(), "--json", *more) as (process, facts):
        yield Serving(process, facts["addresses"], facts["photos"])


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A command that serves, and what it told as JSON when it was ready; killed at the end unless it has ended."""
    process = subprocess.Popen(lhq_command(*arguments), stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, f"lhq {arguments[0]} ended before it served"
        yield process, json.loads(told)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)
        if process.stdout:
            process.stdout.close()


def items(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """All photos of a list, as the page shows them."""
    answer = client.post("/api/list", json=query)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    rest = range(len(told["first"]), told["total"], 500)
    more = [
        one
        for first in rest
        for one in client.get("/api/items", params={"list": told["list"], "first": first, "count": 500}).json()
    ]
    return [*told["first"], *more]


def ids(client: httpx.Client, **query: Any) -> list[str]:
    """Ids of the photos of a list."""
    return [str(one["id"]) for one in items(client, **query)]


def decide(client: httpx.Client, photo: str, verdict: str, token: str | None = None) -> httpx.Response:
    """One decision."""
    body = {"photo": photo, "verdict": verdict, "token": token or f"{os.urandom(16).hex()}"}
    return client.post("/api/decide", json=body)


@contextmanager
def browsing() -> Iterator[Any]:
    """A headless Chromium; a context of it is one person's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, holds: str, seconds: float = 30.0) -> None:
    """Wait until a JavaScript expression is true. (The page's policy forbids Playwright's own way of polling.)"""
    deadline = time.monotonic() + seconds
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, f"not after {seconds} s: {holds}"
        page.wait_for_timeout(20)


def dataset_of(root: Path, photos: Sequence[Mapping[str, Any]]) -> Dataset:
    """A dataset of these rows of `photos`; each gets a small picture of its own, of `size` if the row names one."""
    dataset = Dataset.open_or_create(root, "test")
    rows, files = [], []
    with dataset.store.batch() as batch:
        for at, facts in enumerate(photos):
            row = {"photo_id": f"t:{at}", "source": "t", "source_id": str(at), "tags_raw": [], "tags": [], **facts}
            size = row.pop("size", (60, 40))
            stored = batch.add(picture(at, size), "jpg")
            rows.append({"license": "CC0-1.0", "seen_at": NOW, "extra": "{}", **row})
            files.append(
                {
                    "photo_id": row["photo_id"],
                    "sha256": stored.sha256,
                    "path": stored.path,
                    "bytes": 1,
                    "format": "jpeg",
                    "width": size[0],
                    "height": size[1],
                    "fetched_at": NOW,
                    "status": schema.OK,
                }
            )
    dataset.photos_table.append(pa.Table.from_pylist(rows, schema=schema.PHOTOS))
    dataset.files_table.append(pa.Table.from_pylist(files, schema=schema.FILES))
    return dataset


def picture(seed: int, size: tuple[int, int]) -> bytes:
    """A JPEG of two colours that no other seed has."""
    image = Image.new("RGB", size, (seed % 251, seed // 251 % 251, 200))
    image.paste((90, 120, seed % 256), (0, size[1] // 2, *size))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def enter(context: Any, address: str) -> Any:
    """A page of the review that came in by an address and shows photos."""
    return came_in(context, address, ".tile img[src]")


def settled(page: Any) -> None:
    """Until every decision has been answered."""
    until(page, "Object.keys(localStorage).length === 0")


def verdicts(root: Path, reviewer: str = "anna") -> dict[str, str]:
    standing = reviews.load(root).standing
    return {one: said[reviewer].verdict for one, said in standing.items() if reviewer in said}
