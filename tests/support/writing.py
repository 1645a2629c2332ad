"""Every command that writes: from what it starts, how it is called, and what must be there at its end.

Each runs in a folder of its own, its place, which the names in its arguments are of: `d` is its dataset, if it has one.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import boards
import numpy as np
import outcomes
import tiny
from endless import untrained_run
from fakes import FakeWeb
from forks import Ended, Fault, Forks
from outcomes import Check
from PIL import Image
from web_crawl import FAST, made_up

from benchmarks import pictures, runs
from models.weights import Weights

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
PHOTOS = 20
MADE_UP, QUERIES = made_up(16, 2)
OLDER = b"what an earlier command wrote"
NOISE = random.Random(5).randbytes(300_000)  # a file of weights
TOY = Weights("toy", "toy.pth", "https://example.org/toy.pth", hashlib.sha256(NOISE).hexdigest(), None, "CC0", "tests")


@dataclass(frozen=True)
class Command:
    """One way to call a command that writes.

    `check(place, reference)`: compares what it left with what an unbroken run left. `needs`: what its place holds, with
    the names of that in the world. `out`: what appears whole or not at all; `replaces`: an older one is there; `once`:
    it is never written over, so that a command that has done its work is refused. `spoiled`: something is wrong with
    the dataset. `before`, `work`: see `Forks.run`.
    """

    name: str
    arguments: tuple[str, ...]
    check: Check
    needs: Mapping[str, str] = field(default_factory=dict)
    out: str | None = None
    replaces: bool = False
    once: bool = False
    spoiled: bool = False
    network: bool = False
    before: str = ""
    work: str = ""

    @property
    def has_dataset(self) -> bool:
        return "d" in self.arguments


@dataclass(frozen=True)
class World:
    """What the commands start from; made once, and copied."""

    folder: Path
    forks: Forks
    web: FakeWeb
    weights_url: str

    def prepare(self, command: Command, place: Path) -> None:
        """Make the folder that a command starts in."""
        place.mkdir(parents=True, exist_ok=True)
        for name, source in command.needs.items():
            copy = shutil.copytree if (self.folder / source).is_dir() else shutil.copy
            copy(self.folder / source, place / name)
        if command.replaces:
            (place / str(command.out)).write_bytes(OLDER)
        if command.spoiled:
            _spoil(place / "d")

    def run(self, command: Command, place: Path, fault: Fault | None = None) -> Ended:
        """Run a command in its place."""
        env = {"LHQ_CACHE": str(place / "cache"), "LHQ_STATE": str(place / "state"), "TMPDIR": str(place)}
        if command.network:
            env |= {**self.web.env, "LHQ_WEIGHTS_URL": self.weights_url}
        arguments = [one.format(place=place) for one in command.arguments]
        return self.forks.run(arguments, place, fault or Fault(), env=env, before=command.before, work=command.work)

    def verify(self, place: Path) -> Ended:
        """`lhq verify` of the dataset of a place."""
        return self.forks.run(("verify", "d", "--json"), place)


def make(folder: Path, forks: Forks, web: FakeWeb, weights_url: str) -> World:
    """Make the world."""
    world = World(folder, forks, web, weights_url)
    _paint(folder / "pictures")
    (folder / "queries.txt").write_text("\n".join(QUERIES))
    tiny.write(folder / "data", tiny.images(24))
    run = untrained_run(folder / "run", "alis", patches=4, input_resolution=4)
    (run / runs.DATA).write_text(json.dumps(pictures.read(folder / "data", folder / "cache").facts()))
    for name in ("alis_grid2.safetensors", "meta.json"):
        shutil.copy(GOLDEN / name, folder)
    boards.write(folder / "board.csv", boards.row())
    boards.write(folder / "other.csv", boards.row("locogan", 0.5), boards.row("stylegan2", 0.3))
    for made, name in {"crawled": "crawl", "filtered": "filter"}.items():
        (command,) = (one for one in COMMANDS if one.name == name)
        world.prepare(command, folder / "making")
        ended = world.run(command, folder / "making")
        assert ended.code == 0, ended.err
        (folder / "making" / "d").rename(folder / made)
        shutil.rmtree(folder / "making")
    return world


def _paint(folder: Path) -> None:
    """Small photographs with metadata, no two alike but the last two."""
    folder.mkdir()
    dice = np.random.default_rng(3)
    coarse = [Image.fromarray(dice.integers(0, 256, (4, 6, 3), dtype=np.uint8)) for _ in range(PHOTOS - 1)]
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "tags", "author", "license"])
        for at, image in enumerate([*coarse, coarse[-1]]):
            size = (96, 64) if at < len(coarse) else (84, 56)
            image.resize(size, Image.Resampling.BICUBIC).save(folder / f"{at:02}.jpg", quality=90)
            writer.writerow(
                [f"{at:02}.jpg", f"photo {at}", "portrait" if at == 3 else "hills", f"a{at % 4}", "CC0-1.0"]
            )


def _spoil(dataset: Path) -> None:
    """A file is damaged, one is missing, one stands there that no row names, and a killed write left something."""
    damaged, missing, *_ = sorted((dataset / "images").rglob("*.jpg"))
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"123456789")
    missing.unlink()
    stray = dataset / "images" / "ab" / f"{'ab' * 32}.jpg"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    (dataset / "tables" / "photos" / "1" / ".tmp-1-part").write_bytes(b"left")


# What is done before a command, or in place of one, in the process that runs it.


def measure_little() -> None:
    """Few frames are generated where a run is measured, and its speed is measured in a hurry."""
    from benchmarks import recipes, speed

    speed.WARM_UP, speed.SECONDS, speed.SEARCH_SECONDS, speed.BATCHES = 0, 0.0, 0.0, (1,)
    smoke = recipes.MEASUREMENTS["smoke"]
    few = dataclasses.replace(smoke, frames=24, snapshot_frames=8, curve_frames=8, stretch=8)
    recipes.MEASUREMENTS["smoke"] = few  # where it is: others have imported it by name


def hurry() -> None:
    """What fails is tried again soon."""
    from lhq_toolkit import download
    from pipelines.web import circuit

    circuit.LEAST_SECONDS = circuit.MOST_SECONDS = 0.05
    download.PAUSE_SECONDS = 0.0


def know_a_toy() -> None:
    """There is one more file of weights to fetch."""
    from models import weights

    weights.REGISTRY = {**weights.REGISTRY, TOY.name: TOY}
    hurry()


def review(_: str, dataset: str) -> int:
    """What the server of `lhq review` does for a page: decides on photos, takes one back, notes it all at the end."""
    from lhq_toolkit.review.desk import Desk
    from manifests import recipes, reviews

    desk = Desk(Path(dataset), recipes.DEFAULT)
    for at, photo in enumerate(sorted(desk.index().row_of)[:6]):
        desk.decide(photo, "anna", reviews.VERDICTS[at % 3], f"token-{at}")
    desk.reviews.undo("anna", "token-undo")
    desk.close()
    return 0


# The table.

ONE_THREAD = ("--threads", "1", "--device", "cpu")
HERE = ("--workers", "0")
PICTURES, CRAWLED, FILTERED = {"pictures": "pictures"}, {"d": "crawled"}, {"d": "filtered"}
RUN, DATA = {"run": "run"}, {"data": "data"}
BOARD = {"board.csv": "board.csv"}
BOARDS = {**BOARD, "other.csv": "other.csv"}
PUBLISHED = {"alis_grid2.safetensors": "alis_grid2.safetensors", "meta.json": "meta.json"}

FOLDER = ("--source", "folder", "--path", "pictures", "--metadata", "pictures/metadata.csv")
WEB = ("--source", "unsplash", "--source", "flickr", "--have-permission", "unsplash", "--queries", "queries.txt")
STAGES = ("--tags", "--resolution", "--duplicates", "--likelihood", "--invariance")
SETTINGS = ("resolution.min_side=40", "likelihood.features=small", "invariance.folds=2", "invariance.network=small")
EXPORT = ("--resolution", "32", "--own-use", *HERE, "--format")
SMALL = ("images=32", "batch=8", "patches=4", "input_resolution=4")
TRAINING = (*ONE_THREAD, *tiny.OPTIONS, *(part for one in SMALL for part in ("--set", one)))
GENERATE = ("generate", "run", *ONE_THREAD, "-o")
ROAD = ("--dataset", "t", "--data", "d", "--resolution", "16", "--models", "alis", "-o", "out", *HERE)

_export = outcomes.all_of(outcomes.dataset, outcomes.same("out"))
_trained = outcomes.all_of(outcomes.run, outcomes.cache)
_measured = outcomes.all_of(outcomes.evaluation, outcomes.board, outcomes.cache)


def _dataset(name: str, *arguments: str, needs: Mapping[str, str] = FILTERED, **more: object) -> Command:
    return Command(name, (arguments[0], "d", *arguments[1:]), outcomes.dataset, needs, **more)  # type: ignore[arg-type]


def _file(
    name: str, out: str, *arguments: str, check: Check | None = None, needs: Mapping[str, str] = FILTERED
) -> Command:
    """A command that writes one file, in place of an older one."""
    return Command(name, (*arguments, out), check or outcomes.same(out), needs, out, True)


def _drawn(name: str, out: str, *arguments: str, more: Sequence[str] = ()) -> Command:
    """`lhq generate`."""
    return Command(f"generate {name}", (*GENERATE, out, *arguments), outcomes.same(out, *more), RUN, out, once=True)


def _converted(out: str) -> Command:
    """`lhq convert`."""
    return Command(f"convert -o {out}", ("convert", "run", "-o", out), outcomes.same(out), RUN, out, once=True)


COMMANDS: Sequence[Command] = (
    _dataset("crawl", "crawl", *FOLDER, *HERE, needs=PICTURES),
    _dataset(
        "crawl --source unsplash --source flickr",
        *("crawl", *WEB, *FAST, "--connections", "4", *HERE),
        needs={"queries.txt": "queries.txt"},
        network=True,
        before="writing:hurry",
    ),
    _dataset("filter", "filter", *STAGES, *(part for one in SETTINGS for part in ("--set", one)), *HERE, needs=CRAWLED),
    _dataset("review", "review", work="writing:review"),
    _dataset("remove", "remove", "--author", "a2", "--yes"),
    _dataset("verify --repair", "verify", "--repair", spoiled=True),
    _file("manifest", "m.parquet", "manifest", "d", "-o", check=outcomes.table),
    _file("report", "r.html", "report", "d", "-o", check=outcomes.page("r.html")),
    Command(
        "report --figures", ("report", "d", "-o", "r.html", "--figures", "svg"), outcomes.same("r-figures"), FILTERED
    ),
    _file("heatmap", "h.png", "heatmap", "d", "--photos", "3", "-o"),
    Command("export --format folder", ("export", "d", "out", *EXPORT, "folder", "--crops", "2"), _export, FILTERED),
    Command("export --format zip", ("export", "d", "out", *EXPORT, "zip", "--validation", "0.3"), _export, FILTERED),
    Command("export --format webdataset", ("export", "d", "out", *EXPORT, "webdataset"), _export, FILTERED),
    Command("export --format parquet", ("export", "d", "out", *EXPORT, "parquet"), _export, FILTERED),
    Command("export to a URL", ("export", "d", "file://{place}/out", *EXPORT, "zip"), _export, FILTERED),
    Command(
        "train", ("train", "alis", "data", "-o", "run", *TRAINING), _trained, DATA, before="writing:measure_little"
    ),
    Command(
        "evaluate",
        ("evaluate", "run", "data", "--leaderboard", "board.csv", *ONE_THREAD),
        _measured,
        {**RUN, **DATA},
        before="writing:measure_little",
    ),
    Command(
        "benchmark",
        ("benchmark", *ROAD, "--leaderboard", "board.csv", *TRAINING),
        outcomes.all_of(outcomes.dataset, outcomes.board, outcomes.cache),
        FILTERED,
        before="writing:measure_little",
    ),
    Command(  # one after the other, so that it is done when the last is there
        "generate --frames",
        (*GENERATE, "out", "--frames", "3"),
        outcomes.same("out"),
        RUN,
        "out/0-00002.png",
        once=True,
    ),
    _drawn("FILE.png", "p.png", "--panorama", "5"),
    _drawn("FILE.webp", "p.webp", "--panorama", "5"),
    _drawn("STRIPS", "out", "--panorama", "600"),
    _drawn("FILE.dzi", "p.dzi", "--panorama", "40", more=["p_files"]),
    _drawn("--pan", "p.webp", "--panorama", "3", "--pan", "1"),
    _drawn("--equivariance", "p.png", "--equivariance"),
    Command(
        "import",
        ("import", "alis_grid2.safetensors", "--sizes", "meta.json", "--model", "alis_grid2", "-o", "run"),
        outcomes.same("run"),
        PUBLISHED,
        out="run",
        once=True,
    ),
    _converted("net.onnx"),
    _converted("net.pt2"),
    Command("leaderboard merge", ("leaderboard", "merge", "board.csv", "other.csv"), outcomes.board, BOARDS),
    Command("leaderboard publish", ("leaderboard", "publish", "board.csv", "out"), outcomes.same("out"), BOARD),
    _file(
        "leaderboard show --html",
        "b.html",
        *("leaderboard", "show", "board.csv", "--html"),
        check=outcomes.page("b.html"),
        needs=BOARD,
    ),
    Command("weights fetch", ("weights", "fetch", "toy"), outcomes.cache, network=True, before="writing:know_a_toy"),
)

# Commands that write nothing but locks.
READERS: Sequence[tuple[str, ...]] = (
    ("status", "d"),
    ("verify", "d"),
    ("crawl", "d", *FOLDER, "--plan"),
    ("filter", "d", *STAGES, "--dry-run", *HERE),
    ("benchmark", *ROAD, "--plan"),
    ("models",),
    ("doctor",),
    ("leaderboard", "show", "board.csv"),
    ("leaderboard", "check", "board.csv"),
    ("weights", "list"),
    ("weights", "verify"),
)
SERVERS = ("serve",)  # until they are stopped: what it paints is kept in memory
