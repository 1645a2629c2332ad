"""What many tests need: the `lhq` program as a user runs it, and folders of small real pictures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from disks import disk
from PIL import Image
from running import lhq_command

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: what we start would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("lhq", deadline=None)  # no test hangs on how busy the machine is
hypothesis.settings.load_profile("lhq")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Lhq = Callable[..., Ran]


@pytest.fixture(scope="session")
def lhq() -> Lhq:
    """Run `lhq` to its end in a process of its own."""

    def run(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            lhq_command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty LHQ_CACHE for the commands of a module, so that they leave nothing in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LHQ_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 painted scenes as JPEG files at half size, with tags and licences in metadata.csv; do not change it."""
    import csv

    from pipelines.sources.painter import describe, paint

    folder = tmp_path_factory.mktemp("painted")
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "tags", "author", "license", "subject"])
        for index in range(150):
            scene = describe(7, index)
            image = Image.fromarray(paint(7, index))
            image.reduce(2).save(folder / f"{index:03d}.jpg", quality=90)
            subject = scene.plants["subject"] or ""
            writer.writerow(
                [f"{index:03d}.jpg", scene.title, ";".join(scene.tags), scene.author, scene.license, subject]
            )
    return folder


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real photographs that lies beside a checkout, or at LHQ_PHOTOGRAPHS; without one the test skips."""
    beside = Path(__file__).parents[2] / "shared" / "photos"
    folder = Path(os.environ.get("LHQ_PHOTOGRAPHS", beside))
    if not (folder / "photos.csv").is_file():
        pytest.skip(f"no photographs at {folder}: set LHQ_PHOTOGRAPHS to the folder that holds photos.csv")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; mounting needs root."""
    with disk(tmp_path / "small", "1m") as place:
        yield place
