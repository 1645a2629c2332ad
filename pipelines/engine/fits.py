"""What stages learned from the set: stored whole before anything is measured, found again on resume.

`fits/<stage>/<fingerprint>/` holds the artefact's files and `fit.json`, which says what the fit was made
from and its number in order: a fitted stage uses the newest with its own identity, until a refit.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests import atomic, faults, plain_json
from manifests.errors import LhqError, SetupError
from pipelines.engine.fingerprint import fingerprint, identity
from pipelines.engine.stage import Stage


@dataclass(frozen=True)
class Fit:
    """A stored artefact."""

    folder: Path
    fingerprint: str
    number: int  # in order of making, per stage
    fitted_on: str  # hash of the set of files


def newest(folder: Path, stage: Stage[Any]) -> Fit | None:
    """The latest fit with this stage's version, measuring parameters and weights, whatever it was made from."""
    wanted = json.loads(json.dumps(identity(stage), default=str))
    fits = [fit for fit, made_by in _all(folder) if made_by == wanted]
    return max(fits, key=lambda fit: fit.number, default=None)


def store(folder: Path, stage: Stage[Any], fitted_on: str, images: int, files: Mapping[str, bytes]) -> Fit:
    """Store an artefact durably and give it the next number. Call under the stage's lock."""
    number = max((fit.number for fit, _ in _all(folder)), default=0) + 1
    name = fingerprint(stage, fitted_on)
    final = folder / name
    facts = {
        **identity(stage),
        "fitted_on": fitted_on,
        "images": images,
        "number": number,
    }
    files = {**files, "fit.json": (json.dumps(facts, indent=2, default=str) + "\n").encode()}
    if final.exists():  # the same set again after others: the same artefact, now the newest
        atomic.write_bytes(final / "fit.json", files["fit.json"])
        return Fit(final, name, number, fitted_on)
    atomic.make_folder(folder)
    with atomic.whole_folder(final) as temporary:
        for file_name, data in files.items():
            (temporary / file_name).write_bytes(data)
        faults.point("fit.before_store")
    return Fit(final, name, number, fitted_on)


@contextlib.contextmanager
def loading(artefact: Path) -> Iterator[None]:
    """SetupError that names an artefact whose files are not those of its stage."""
    try:
        yield
    except (LhqError, MemoryError):
        raise
    except Exception as error:  # the libraries that read them have each their own
        raise _damaged(artefact, error) from error


def _damaged(path: Path, error: Exception) -> SetupError:
    said = (str(error).splitlines() or [""])[0]
    return SetupError(f"{path} is damaged ({type(error).__name__}: {said}); remove its folder and filter with --refit")


def sweep(folder: Path) -> None:
    """Remove what an interrupted store left. Call under the stage's lock."""
    for leftover in folder.glob(f"{atomic.TEMPORARY}*"):
        shutil.rmtree(leftover)
    for fit in folder.glob("[0-9a-f]*/"):
        atomic.sweep_temporaries(fit)


def _all(folder: Path) -> list[tuple[Fit, dict[str, Any]]]:
    found = []
    for path in folder.glob("[0-9a-f]*/fit.json"):
        try:
            facts = plain_json.mapping(path.read_bytes())
            made_by = {name: facts[name] for name in ("stage", "version", "measuring", "weights")}
            made_by |= {"package": facts["package"]} if "package" in facts else {}
            fit = Fit(path.parent, path.parent.name, int(facts["number"]), str(facts["fitted_on"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise _damaged(path, error) from error
        found.append((fit, made_by))
    return found
