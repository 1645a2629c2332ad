"""`lhq crawl` of both web sources against the made-up web, and what must come of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fakes import FakeWeb, World
from fakes import world as worlds
from running import lhq_command

from manifests import schema
from manifests.dataset import Dataset

FAST = ("--unsplash-quota", "1000000/h", "--flickr-quota", "1000000/h", "--image-rate", "none")
CONNECTIONS = 16


def made_up(photos: int, queries: int) -> tuple[World, tuple[str, ...]]:
    """A world of so many photos on both sites, and as many advertisements as a tenth of them."""
    asked = worlds.queries(queries)
    world = World()
    world.add(worlds.scatter("unsplash", photos // 2, asked))
    world.add(worlds.scatter("flickr", photos - photos // 2, asked))
    world.add(worlds.unwanted(photos // 10, asked))
    return world, asked


@dataclass(frozen=True)
class Crawl:
    """How the program is started against a made-up web."""

    web: FakeWeb
    place: Path
    queries: tuple[str, ...]

    @property
    def dataset(self) -> Path:
        return self.place / "d"

    @property
    def env(self) -> Mapping[str, str]:
        return {**os.environ, **self.web.env, "LHQ_STATE": str(self.place / "state")}

    def command(self, *more: object) -> list[str]:
        names = self.place / "queries.txt"
        names.write_text("\n".join(self.queries))
        sources = ("--source", "unsplash", "--source", "flickr", "--have-permission", "unsplash")
        limits = (*FAST, "--connections", CONNECTIONS)
        return lhq_command("crawl", self.dataset, *sources, "--queries", names, *limits, *more)

    def run(self, *more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*more), env=self.env, capture_output=True, text=True, check=False)

    def run_to_the_end(self, *more: object) -> None:
        """Again, while a passing trouble is left: at most as often as a photo is tried."""
        for _ in range(6):
            ran = self.run(*more)
            if ran.returncode == 0:
                return
        raise AssertionError(ran.stdout[-2000:] + ran.stderr[-2000:])


def assert_complete(crawl: Crawl) -> None:
    """Exactly the photos that exist, each once, with all its queries; files of all but the doomed, which have their
    reason; the bytes on disk are those of the web."""
    wanted = crawl.web.world.wanted(crawl.queries)
    dataset = Dataset.open(crawl.dataset)
    photos = dataset.photos().to_pylist()
    assert {row["photo_id"]: set(row["queries"]) for row in photos} == wanted
    assert len(photos) == len(wanted)
    assert all(row["license"] != "LicenseRef-unknown" and row["author"] and row["attribution"] for row in photos)
    files = {row["photo_id"]: row for row in dataset.files().to_pylist()}
    assert set(files) == set(wanted)
    doomed = {photo_id for photo_id in wanted if crawl.web.doomed(photo_id)}
    assert {photo_id for photo_id, row in files.items() if row["status"] != schema.OK} == doomed
    assert all(files[photo_id]["status"] == schema.GIVEN_UP and files[photo_id]["error"] for photo_id in doomed)
    shots = crawl.web.world.shots
    for photo_id, row in files.items():
        if photo_id not in doomed:
            assert (row["width"], row["height"]) == shots[photo_id].shape, photo_id
            assert (crawl.dataset / row["path"]).stat().st_size == row["bytes"]
    pictures = {shots[photo_id].picture for photo_id in set(wanted) - doomed}
    stored = [path for path in (crawl.dataset / "images").rglob("*") if path.is_file()]
    assert len(stored) == len(pictures), "photos with the same bytes share one file, and nothing else lies there"
