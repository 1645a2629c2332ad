"""The data of a benchmark: where it lies, what to download where it does not, and how it becomes pictures.

Known sets have a recipe of their own: what is crawled, which filters decide, at which size it is exported. Anything
else is an export or a dataset folder, which is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import exports, pixel_cache
from lhq_toolkit import __version__
from lhq_toolkit.crawl_sources import Maker, Options
from manifests import atomic, plain_json
from manifests.errors import LhqError, MisuseError, SetupError

SAMPLES = Path(__file__).parents[1] / "samples"
PREPARED = "prepared.json"  # in a benchmark's place: from what its pictures were made
MADE = "dataset"  # in a benchmark's place: what was crawled
LSUN, FOLDER, SAMPLE = "lsun", "folder", "sample"


@dataclass(frozen=True)
class Known:
    """A set that the benchmark knows. The stages `resolution` and `invariance` decide, of the sample `tags` too."""

    name: str
    kind: str
    resolution: int  # pixels, of what is exported
    min_side: int
    crops: int = 1
    scenes: int = 0  # painted ones beside the photographs
    pictures: int | None = None  # in the whole set, where that is published
    gigabytes: float = 0.0  # of the download
    download: str = ""  # what to do, line by line; {place} is where it goes

    @property
    def stages(self) -> tuple[str, ...]:
        """LSUN and LHQ come without tags; the paper filtered all sets by Algorithm 1."""
        return ("tags", "resolution", "invariance") if self.kind == SAMPLE else ("resolution", "invariance")


def _lsun(name: str, pictures: int, gigabytes: float) -> Known:
    archive = f"{name}_train_lmdb.zip"
    return Known(
        name=name,
        kind=LSUN,
        resolution=256,
        min_side=256,
        pictures=pictures,
        gigabytes=gigabytes,
        download=f"""mkdir -p {{place}} && cd {{place}}
curl -C - -O http://dl.yf.io/lsun/scenes/{archive}
unzip {archive} && rm {archive}
(plain http, and no hash is published; the toolkit checks that the database is whole)
LSUN tells neither author nor licence of its pictures: do not hand them on.""",
    )


_LHQ_RIGHTS = "The photographs are of Unsplash and Flickr, each under its own licence: see LHQ's metadata.json."
KNOWN: Mapping[str, Known] = {
    one.name: one
    for one in (
        _lsun("tower", 708_264, 12),
        _lsun("bridge", 818_687, 15),
        Known(
            name="lhq",
            kind=FOLDER,
            resolution=256,
            min_side=256,
            pictures=90_000,
            gigabytes=8.7,
            download=f"""in a browser, LHQ256 (PNG): https://disk.yandex.ru/d/HPEEntpLv8homg
unpack it below {{place}}
{_LHQ_RIGHTS}""",
        ),
        Known(
            name="lhq1024",
            kind=FOLDER,
            resolution=1024,
            min_side=1024,
            pictures=90_000,
            gigabytes=107,
            download=f"""in a browser, LHQ1024 (PNG, three archives of 107 GB in all):
  https://disk.yandex.ru/d/EKtxZD-_MN4SrA https://disk.yandex.ru/d/5H4aGL6yuZFdVQ
  https://disk.yandex.ru/d/T1QW7kh27D_EYQ
  (or LHQ1024_jpg, 12 GB, which is compressed: https://disk.yandex.ru/d/Sz1gPiMoUregEQ)
unpack them below {{place}}
{_LHQ_RIGHTS}""",
        ),
        Known(name="sample", kind=SAMPLE, resolution=64, min_side=256, crops=6, scenes=300),
    )
}
SMOKE_RESOLUTION = 64  # pixels: what two processors train in minutes
PAPER_RESOLUTION = 256  # of the paper's comparison


@dataclass(frozen=True)
class Found:
    """Data that is there. known: None for an export, a dataset folder or a folder of training pictures."""

    name: str
    source: Path
    known: Known | None = None

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset folder: its pictures are exported first."""
        return self.known is None and (self.source / "dataset.json").is_file() and (self.source / "tables").is_dir()


def find(name: str, data: Path | None) -> Found:
    """The data of this name: at `data`, else at LHQ_DATA/name; a name may be a path of an export or dataset folder.

    Raises SetupError that says what to download and where to put it, MisuseError for a name that nothing is known of.
    """
    known = KNOWN.get(name)
    if data is None and known is None and os.sep in name and Path(name).exists():
        return Found(Path(name).resolve().name, Path(name))
    if Path(name).name != name or not name.isprintable() or name[:1] in "=+-@.":
        raise MisuseError(f"--dataset {name!r}: a plain name is wanted; where the data lies is said by --data")
    if known is not None and known.kind == SAMPLE and data is None:
        return Found(name, SAMPLES, known)
    home = os.environ.get("LHQ_DATA")
    place = data or (Path(home) / name if home else None)
    if place is None or not place.exists():
        if known is None and place is None:
            raise MisuseError(
                f"where is {name}? give --data PATH, or set LHQ_DATA to the folder that holds {name}; the sets known "
                f"by name are {', '.join(KNOWN)}"
            )
        if known is None or data is not None:
            raise MisuseError(f"{place} does not exist: give --data an export or a dataset folder")
        raise SetupError(how_to_get(known, Path(home) / name if home else None))
    return Found(name, place, known if known is not None and _is_raw(known, place) else None)


def how_to_get(known: Known, place: Path | None) -> str:
    """What to download, how much it is, and where it goes: one screen."""
    where = str(place) if place is not None else f"$LHQ_DATA/{known.name}"
    steps = "\n".join(f"  {line}" for line in known.download.format(place=where).splitlines())
    unset = "" if place is not None else " (LHQ_DATA is not set: export LHQ_DATA=/path/to/a/folder/with/room)"
    room = f"{known.gigabytes:g} GB" if known.gigabytes else "little"
    return f"""{known.name} is not here; it is looked for at --data PATH, then at $LHQ_DATA/{known.name}{unset}.
Download about {room} ({known.pictures or 0:,} pictures), once:
{steps}
Then the same command again. --plan tells how much disk and time the rest takes.
To try everything out without a download: lhq benchmark --dataset sample"""


def _is_raw(known: Known, place: Path) -> bool:
    """Whether it must be crawled first: it is no export, no dataset folder, no training pictures."""
    if not place.is_dir() or (place / "dataset.json").is_file() or (place / exports.STATE).is_file():
        return False
    if known.kind != LSUN or next(place.glob("**/data.mdb"), None) is not None:
        return True
    return not any(path.suffix.lower() in exports.SUFFIXES for path in place.rglob("*"))


def resolution_of(found: Found, budget: str, asked: int | None) -> int:
    """Of the pictures: as they are, else as they are made: the set's own, or what two processors can train.

    Raises SetupError for pictures that cannot be learned from.
    """
    if found.known is None and not found.is_dataset:
        return pixel_cache.resolution(exports.find(found.source))
    if asked is not None:
        return asked
    if budget == "smoke":
        return SMOKE_RESOLUTION
    return found.known.resolution if found.known is not None else PAPER_RESOLUTION


def prepared(found: Found, place: Path, resolution: int, budget: str, crops: int | None) -> Path | None:
    """The export that was made of these very sources by this toolkit, whole; None where there is none."""
    try:
        noted = plain_json.loads((place / PREPARED).read_bytes())
        export = place / str(noted["export"])
        if noted["fingerprint"] != fingerprint(found, resolution, budget, crops):
            return None
        exports.find(export)
    except (OSError, ValueError, KeyError, TypeError, LhqError):
        return None
    return export


def note(found: Found, place: Path, resolution: int, budget: str, crops: int | None, export: Path) -> None:
    """Remember what the export was made from."""
    facts = {"fingerprint": fingerprint(found, resolution, budget, crops), "export": export.name}
    atomic.write_bytes(place / PREPARED, (json.dumps(facts, indent=2) + "\n").encode())


def fingerprint(found: Found, resolution: int, budget: str, crops: int | None) -> str:
    """Hash of everything that an export of raw data hangs on: the files as they are seen, the recipe, the toolkit."""
    assert found.known is not None
    whole = hashlib.sha256(json.dumps([asdict(found.known), resolution, budget, crops, __version__]).encode())
    for folder, folders, names in os.walk(found.source):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if name == "lock.mdb":  # a reader of LMDB may touch it
                continue
            seen = path.stat()
            whole.update(
                f"{path.relative_to(found.source)}\0{seen.st_size}\0{seen.st_mtime_ns}\0".encode(errors="replace")
            )
    return whole.hexdigest()


def curate(found: Found, place: Path, budget: str, workers: int | None, ray_address: str | None) -> tuple[Path, str]:
    """Crawl and filter raw data by its set's own recipe, below `place`: the dataset, and the funnel as text.

    Killed anywhere it goes on; what is done is not done again.
    """
    from lhq_toolkit import show
    from manifests.dataset import Dataset
    from pipelines import crawl
    from pipelines import filter as filters
    from pipelines.engine.pool import open_pool

    known = found.known
    assert known is not None
    names, options = _source(found)
    dataset = place / MADE
    sources = Maker(names, options, dataset).make()
    opened = Dataset.open_or_create(dataset, __version__)
    with open_pool(workers, ray_address) as pool:
        crawled = crawl.run(opened, sources, pool, crawl.Wish(limit=options.limit))
    if not crawled.is_complete:
        raise SetupError(f"not everything of {found.source} could be read; the same command goes on from there")
    settings = filters.with_budget({"resolution": {"min_side": str(known.min_side)}}, budget, known.stages)
    with open_pool(workers, ray_address) as pool:
        filtered = filters.run(Dataset.open(dataset), filters.Request(stages=known.stages, settings=settings), pool)
    return dataset, show.funnel(filtered.funnel, "curated", filtered.recipe)


def _source(found: Found) -> tuple[list[str], Options]:
    assert found.known is not None
    if found.known.kind == LSUN:
        return [LSUN], Options(paths=[found.source])
    if found.known.kind == FOLDER:
        return [FOLDER], Options(paths=[found.source], label=found.name)
    metadata = found.source / "metadata.csv"
    return [FOLDER, "synthetic"], Options(paths=[found.source], metadata=metadata, limit=found.known.scenes)
