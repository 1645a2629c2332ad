"""What this machine has for the toolkit, what is missing, and for what that would be needed."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from manifests.errors import SetupError
from manifests.plugins import Group
from manifests.texts import read_lines

OK, MISSING, BROKEN = "ok", "missing", "broken"
KEYS = {  # environment variable -> what it is for, the value to give it
    "UNSPLASH_ACCESS_KEY": ("lhq crawl --source unsplash", "a key of https://unsplash.com/oauth/applications"),
    "FLICKR_API_KEY": ("lhq crawl --source flickr", "a key of https://www.flickr.com/services/apps/create/"),
    "FLICKR_API_SECRET": ("nothing so far: reading Flickr needs the key alone", "the secret shown beside that key"),
    "LHQ_CONTACT": ("crawling either: hosts are told whom to write to", "an e-mail address or a URL"),
}
PACKAGES = ("numpy", "pyarrow", "pydantic", "PIL", "simplejpeg", "safetensors", "torch", "ray")  # of the basic road
FURTHER = {  # package -> what it is for
    "torchvision": "--objects, FID, invariance.network=resnet18 and wide_resnet50_2",
    "cleanfid": "FID, --likelihood with the Inception",
    "pycurl": "fetching photographs from the web",
    "requests": "asking APIs, fetching weights",
    "lmdb": "lhq crawl --source lsun",
    "jinja2": "reports, and pages of leaderboards",
    "fastapi": "lhq review, lhq serve",
    "uvicorn": "lhq review, lhq serve",
}
EXTRAS = {  # package that is not of the toolkit -> what it is for, how it comes
    "onnx": ("lhq convert to ONNX", "python -m pip install onnx"),
    "onnxscript": ("lhq convert to ONNX", "python -m pip install onnxscript"),
    "s3fs": ("lhq export to s3://", "python -m pip install s3fs"),
}
ROADS = {  # what somebody wants -> the checks that it needs beside the basic ones; with `or`, one of them is enough
    "curate your own pictures": (),
    "look at them: review, report": ("fastapi", "uvicorn", "jinja2"),
    "build a dataset from the web": ("pycurl", "requests", "FLICKR_API_KEY or UNSPLASH_ACCESS_KEY", "LHQ_CONTACT"),
    "all six filters": ("torchvision", "cleanfid", "weights maskrcnn_resnet50_fpn_v2", "weights inception"),
    "benchmark a generator, by fd": ("jinja2",),
    "the same, by FID": ("jinja2", "torchvision", "cleanfid", "weights inception"),
    "repeat the paper's table": ("jinja2", "gpu", "weights inception", "weights wide_resnet50_2", "LHQ_DATA"),
    "draw endless pictures, scroll": ("fastapi", "uvicorn"),
    "run all tests": ("chromium", "cc"),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROOM = 1024**3  # bytes: what the weights need together, about
PLUGINS = {  # group of entry points -> where what it may hold is listed
    "lhq.sources": "lhq_toolkit.crawl_sources:SOURCES",
    "lhq.filters": "pipelines.filters:STAGES",
    "lhq.detectors": "pipelines.filters.objects_detectors:DETECTORS",
    "lhq.models": "benchmarks.recipes:PLUGINS",
    "lhq.metrics": "benchmarks.plugin_metric:METRICS",
}
DISTRIBUTIONS = {"PIL": "Pillow", "cleanfid": "clean-fid"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `basic`: crawling, filtering and exporting need it, without keys or weights."""

    name: str
    state: str  # OK, MISSING or BROKEN
    says: str
    needed_for: str
    basic: bool = False


def examine() -> list[Check]:
    """Everything, in the order in which one would mend it; opens no connection and starts nothing."""
    return [
        _python(),
        *(_package(name, "everything", basic=True) for name in PACKAGES),
        *(_package(name, needed_for, basic=False) for name, needed_for in FURTHER.items()),
        *(_package(name, needed_for, basic=False, how=how) for name, (needed_for, how) in EXTRAS.items()),
        _cores(),
        _memory(),
        _gpu(),
        _detectron2(),
        _browser(),
        _encoder(),
        _compiler(),
        _cache(),
        _data(),
        *_weights(),
        *_keys(),
        *_plugins(),
    ]


def healthy(checks: list[Check]) -> bool:
    """Whether the basic road is open."""
    return all(check.state == OK for check in checks if check.basic)


def roads(checks: list[Check]) -> dict[str, list[str]]:
    """What each road still wants; nothing where it is open."""
    ok = {check.name for check in checks if check.state == OK}
    basic = [check.name for check in checks if check.basic]
    return {
        road: [wanted for wanted in (*basic, *further) if ok.isdisjoint(wanted.split(" or "))]
        for road, further in ROADS.items()
    }


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    return Check(
        "python", OK if fine else BROKEN, version if fine else f"{version}: 3.11 is needed", "everything", True
    )


def _package(name: str, needed_for: str, *, basic: bool, how: str = "make setup") -> Check:
    distribution = DISTRIBUTIONS.get(name, name)
    try:
        importlib.import_module(name)
        return Check(name, OK, metadata.version(distribution), needed_for, basic)
    except Exception as error:  # a package that is only half there fails in any way
        absent = isinstance(error, ModuleNotFoundError) and error.name == name
        says = f"not installed; run: {how}" if absent else f"does not import ({_line(error)}); run: {how}"
        return Check(name, MISSING if absent else BROKEN, says, needed_for, basic)


def _cores() -> Check:
    from pipelines.engine.threads import cores

    return Check("cores", OK, str(cores()), "everything", True)


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    except (OSError, ValueError) as error:
        return Check("memory", OK, f"unknown ({_line(error)})", "everything", True)
    return Check("memory", OK, _size(total), "everything", True)


def _gpu() -> Check:
    needed_for = "--budget small and paper; large sets through large networks"
    try:
        import torch

        if not torch.cuda.is_available():
            return Check("gpu", MISSING, "none found: the CPU computes", needed_for)
        devices = [torch.cuda.get_device_properties(at) for at in range(torch.cuda.device_count())]
    except Exception as error:
        return Check("gpu", BROKEN, _line(error), needed_for)
    return Check("gpu", OK, ", ".join(f"{one.name} ({_size(one.total_memory)})" for one in devices), needed_for)


def _detectron2() -> Check:
    from models.detectors import DETECTRON2_INSTALL

    return _package("detectron2", "objects.detector=detectron2 (optional)", basic=False, how=DETECTRON2_INSTALL)


def find_browser() -> str | None:
    """The path of a browser that can be driven; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _browser() -> Check:
    found = find_browser()
    says = found or f"none of {', '.join(BROWSERS)} is on the PATH; on Debian run: apt-get install chromium"
    return Check("chromium", OK if found else MISSING, says, "the tests that look at pages in a browser")


def _encoder() -> Check:
    found = shutil.which("ffmpeg")
    says = found or "not on the PATH; on Debian run: apt-get install ffmpeg"
    return Check("ffmpeg", OK if found else MISSING, says, "lhq generate --pan into FILE.mp4; FILE.webp goes without")


def _compiler() -> Check:
    """That of C for the tests; that of C++ is what PyTorch compiles with on a CPU."""
    absent = [name for name in ("cc", "c++") if shutil.which(name) is None]
    says = f"{', '.join(absent)} not on the PATH; on Debian run: apt-get install g++" if absent else "with c++"
    return Check("cc", MISSING if absent else OK, says, "the tests of faults; --compile and --fast on a CPU")


def _data() -> Check:
    needed_for = "make benchmark DATASET=tower, bridge, lhq and lhq1024, without DATA=PATH"
    place = os.environ.get("LHQ_DATA")
    if not place:
        return Check("LHQ_DATA", MISSING, "not set; set it to the folder that holds these sets", needed_for)
    there = Path(place).is_dir()
    return Check("LHQ_DATA", OK if there else BROKEN, place if there else f"{place} is no folder", needed_for)


def _cache() -> Check:
    from models.weights import cache_folder

    folder = cache_folder()
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    needed_for = "pretrained weights"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("LHQ_CACHE", BROKEN, f"{folder} cannot be written: set LHQ_CACHE to another folder", needed_for)
    free = shutil.disk_usage(there).free
    if free < ROOM:
        says = f"{folder}, only {_size(free)} free on its disk: make room, or set LHQ_CACHE to another folder"
        return Check("LHQ_CACHE", MISSING, says, needed_for)
    return Check("LHQ_CACHE", OK, f"{folder}, {_size(free)} free on its disk", needed_for)


def _weights() -> Iterator[Check]:
    from models.weights import REGISTRY, WeightsError, find

    for name, one in REGISTRY.items():
        try:
            find(name)
            how = "its SHA-256 is right" if one.known_whole else f"its SHA-256 begins with {one.sha256}, as it should"
            yield Check(f"weights {name}", OK, how, one.needed_by)
        except WeightsError as error:
            missing = " is missing: " in str(error)
            says = str(error).partition(" is missing: ")[2] if missing else str(error)
            yield Check(f"weights {name}", MISSING if missing else BROKEN, says, one.needed_by)
        except OSError as error:
            yield Check(f"weights {name}", BROKEN, _line(error), one.needed_by)


def _keys() -> Iterator[Check]:
    """Whether each key is set; its value is never looked at beyond its being empty."""
    filed = _named_in(Path(".env"))
    for name, (needed_for, value) in KEYS.items():
        if os.environ.get(name):
            yield Check(name, OK, "set in the environment", needed_for)
        elif name in filed:
            yield Check(name, OK, "set in .env", needed_for)
        else:
            yield Check(name, MISSING, f"not set; set it in the environment or in .env to {value}", needed_for)


def _plugins() -> Iterator[Check]:
    """What other packages add: each is imported, and said to be wrong where it cannot be used."""
    for group, place in PLUGINS.items():
        module, _, name = place.partition(":")
        try:
            kind: Group[Any] = getattr(importlib.import_module(module), name)
        except ImportError:  # of a package that is looked at above
            continue
        for plugin in kind.plugins():
            wrong = kind.problem(plugin)
            says = wrong or f"of {plugin.package} {plugin.version} ({group})"
            yield Check(f"{kind.word} {plugin.name}", BROKEN if wrong else OK, says, "what it adds")
    for group in sorted(metadata.entry_points().groups):
        if group.startswith("lhq.") and group not in PLUGINS:
            of = ", ".join(
                sorted({one.dist.name for one in metadata.entry_points(group=group) if one.dist is not None})
            )
            says = f"entry points of {of} that nothing looks at; there are: {', '.join(PLUGINS)}"
            yield Check(group, BROKEN, says, "what they add")


def _named_in(path: Path) -> set[str]:
    """Names that a .env file gives a value."""
    try:
        lines = read_lines(path, "the keys in")
    except SetupError:
        return set()
    pairs = [line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#")]
    return {name.strip() for name, _, value in pairs if value.strip().strip("'\"")}


def _size(count: int) -> str:
    return f"{count / 1024**3:,.1f} GiB"


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
