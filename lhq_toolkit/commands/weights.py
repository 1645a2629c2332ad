"""`lhq weights`: the pretrained files, what they are for, and whether they are here and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from models.weights import Weights

app = typer.Typer(help="Pretrained files: list, fetch, verify.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="As `lhq weights list` calls them.")]


@app.command("list")
def list_(json_: Json = False) -> int:
    """Print every pretrained file the toolkit knows: size, hash, licence, what needs it, and whether it is here.

    Whether a file is here says nothing of what is in it: `lhq weights verify` reads it.
    """
    from models.weights import REGISTRY, cache_folder

    folder = cache_folder()
    if json_:
        print(json.dumps({"folder": str(folder), "weights": [_facts(one, folder) for one in REGISTRY.values()]}))
        return 0
    print(f"{'name':<26}{'MiB':>8}  {'here':<6}{'hash known':<16}needed by")
    for one in REGISTRY.values():
        here = "yes" if (folder / one.file).is_file() else "no"
        size = "-" if one.mebibytes is None else f"{one.mebibytes:,.0f}"
        known = "sha256" if one.known_whole else "first 8 digits"
        print(f"{one.name:<26}{size:>8}  {here:<6}{known:<16}{one.needed_by}")
    print(f"They lie in {folder} (LHQ_CACHE). Licences:")
    for licence in dict.fromkeys(one.licence for one in REGISTRY.values()):
        print(f"  {', '.join(one.name for one in REGISTRY.values() if one.licence == licence)}: {licence}")
    return 0


@app.command("fetch")
def fetch(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Every file of the list.")] = False,
    json_: Json = False,
) -> int:
    """Fetch files into LHQ_CACHE. Cut off or killed, the same command goes on; a wrong hash is never kept."""
    from lhq_toolkit import download
    from models.weights import REGISTRY, cache_folder

    if everything == bool(names):
        raise MisuseError(f"name what to fetch, or say --all; there are: {', '.join(REGISTRY)}")
    fetched = []
    for one in _chosen(names) if names else REGISTRY.values():
        path = download.fetch(one, cache_folder())
        fetched.append({"name": one.name, **_checked(one, path)})
        if not json_:
            print(_as_text(fetched[-1]))
    if json_:
        print(json.dumps({"weights": fetched}))
    return 0


@app.command("verify")
def verify(names: Names = None, json_: Json = False) -> int:
    """Read the files that are here (or those named) and compare their SHA-256. Exit code 1 where one is wrong."""
    from models.weights import REGISTRY, cache_folder

    folder = cache_folder()
    chosen = _chosen(names) if names else [one for one in REGISTRY.values() if (folder / one.file).exists()]
    found = [{"name": one.name, **_checked(one, folder / one.file)} for one in chosen]
    if json_:
        print(json.dumps({"folder": str(folder), "weights": found}))
    else:
        print("\n".join(map(_as_text, found)) or f"no pretrained file lies in {folder}")
    return 0 if all(one["ok"] for one in found) else 1


def _chosen(names: list[str]) -> list[Weights]:
    from models.weights import REGISTRY

    if unknown := [name for name in names if name not in REGISTRY]:
        raise MisuseError(f"no weights are called {unknown[0]!r}; there are: {', '.join(REGISTRY)}")
    return [REGISTRY[name] for name in dict.fromkeys(names)]


def _facts(one: Weights, folder: Path) -> dict[str, Any]:
    path = folder / one.file
    return {
        "name": one.name,
        "file": one.file,
        "url": one.url,
        "sha256": one.sha256 if one.known_whole else None,
        "sha256_prefix": one.sha256[:8],
        "mebibytes": one.mebibytes,
        "licence": one.licence,
        "needed_by": one.needed_by,
        "here": path.is_file(),
        "bytes": path.stat().st_size if path.is_file() else None,
    }


def _checked(one: Weights, path: Path) -> dict[str, Any]:
    """What a file turns out to be."""
    from models.weights import how_to_get, read_sha256

    if not path.is_file():
        return {"path": str(path), "sha256": None, "ok": False, "says": f"missing; {how_to_get(one.name)}"}
    sha256 = read_sha256(path)
    ok = one.fits(sha256)
    if not ok:
        says = f"WRONG: its SHA-256 is not {one.sha256}{'' if one.known_whole else '...'}; delete it and fetch again"
    elif one.known_whole:
        says = "right: the SHA-256 is the one known"
    else:
        says = f"right in the 8 digits of the SHA-256 that are published ({one.sha256})"
    return {"path": str(path), "sha256": sha256, "ok": ok, "says": says}


def _as_text(checked: dict[str, Any]) -> str:
    return f"{checked['name']}: {checked['says']}\n  {checked['path']}\n  {checked['sha256'] or '-'}"
