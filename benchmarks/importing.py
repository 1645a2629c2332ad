"""Networks that others trained become runs, which are generated from and measured like our own.

The run has one checkpoint, of step 0, with the generator as its average. Its recipe says from which file it came, and
nothing of a training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks import checkpoints, metrics, networks, recipes
from benchmarks.recipes import IMPORTED, Imported, Recipe
from manifests import atomic
from manifests.errors import InputError, MisuseError
from models import published, published_files
from models.weights import WeightsError, read_sha256

LARGEST = 2**20  # of any size
SHOWN = 4  # of the differences
KNOWN_SIZES = {"resolution", "heads", *published.OF_ALIS}  # one of these tells that a JSON is sizes itself
OURS = {"grid_size": "patches", "mbstd_group_size": "deviation_group"}  # names of sizes that differ in a recipe
TOLD = ("resolution", "z_dim", "w_dim", "mapping_layers", *published.OF_ALIS)  # that a file tells beyond doubt
_WHOLE = ("resolution", "z_dim", "w_dim", "channel_base", "channel_max", "mapping_layers")


def bring(path: Path, model: str, sizes: Mapping[str, Any], run: Path) -> Recipe:
    """Make the folder `run` of a file's networks: all of it, or none; its recipe.

    model: `alis` or `stylegan2`. sizes: as in `models.published`; what they leave out is taken from the file where it
    tells it. A discriminator of another make is left out. Raises InputError for a file that is not such a network's, or
    would have something run; MisuseError for another model or sizes than it has, sizes that are
    missing or make no sense, a file that is not there, and a `run` that is.
    """
    refuse_existing(run)
    refuse_missing(path)
    try:
        found = published_files.read(path)
    except WeightsError as error:
        raise InputError(str(error)) from error
    if found.family != model:
        raise MisuseError(f"{path} holds a network of {found.family}: give --model {found.family}")
    if differing := [name for name in TOLD if name in sizes and found.sizes.get(name, sizes[name]) != sizes[name]]:
        said = ", ".join(f"{name} {str(found.sizes[name])[:40]}" for name in differing)
        raise MisuseError(f"{path} has other sizes than those given: in the file {said}; correct --sizes, or the file")
    sizes = _complete(path, model, {**found.sizes, **sizes})
    tensors, kept = found.tensors, found.networks
    try:
        misfits = published.misfits(model, sizes, tensors)
        if misfits and all(one.startswith("D.") for one in misfits):  # no picture hangs on it
            tensors = {name: one for name, one in tensors.items() if name.startswith("G.")}
            kept, misfits = kept[:1], []
        if misfits:
            more = f", and {len(misfits) - SHOWN:,} more" if len(misfits) > SHOWN else ""
            raise MisuseError(
                f"{path} is of another model or other sizes than {_told(sizes)}: {'; '.join(misfits[:SHOWN])}{more}; "
                "give the sizes it was made with (--sizes)"
            )
        generator, discriminator = published.load(model, sizes, tensors)
    except ValueError as error:
        raise MisuseError(f"the sizes do not fit each other: {error}; give others with --sizes") from error
    recipe = _recipe(model, sizes, Imported(path.name, read_sha256(path), kept))
    networks.check(recipe)
    assert generator is not None  # `read` found one
    halves: dict[str, nn.Module | None] = {"average": generator, "discriminator": discriminator}
    write(recipe, {name: half.state_dict() for name, half in halves.items() if half is not None}, run, path)
    return recipe


def refuse_existing(run: Path) -> None:
    """MisuseError where `run` is there already, other than as an empty folder."""
    if run.is_symlink() or (run.exists() and (not run.is_dir() or any(run.iterdir()))):
        raise MisuseError(f"{run} is there already; a network is imported into a new folder")


def refuse_missing(path: Path) -> None:
    """MisuseError where there is no file `path`."""
    if not path.is_file():
        raise MisuseError(f"{path} is not there: give the path of a file of weights")


def _complete(path: Path, model: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a network, each of them sound. MisuseError names what is missing or is none."""
    wanted = (*_WHOLE, *(published.OF_ALIS if model == "alis" else ()))
    if missing := [name for name in wanted if name not in sizes]:
        raise MisuseError(f"{path} does not tell {', '.join(missing)}: give --sizes FILE.json with them")
    for name in (*wanted, "mbstd_group_size"):
        if name in sizes and (type(sizes[name]) is not int or not 1 <= sizes[name] <= LARGEST):
            raise MisuseError(f"{name} is {str(sizes[name])[:40]}; it must be a whole number from 1 to {LARGEST:,}")
    if sizes.get("w_coord_dist", 0) % 2:
        raise MisuseError(f"w_coord_dist is {sizes['w_coord_dist']}; it is twice the distance of anchors, so even")
    clamp, first = sizes.get("clamp", 0.0), sizes.get("float16_styles_from", 0)
    if type(clamp) not in (int, float) or not 0 <= clamp < float("inf"):
        raise MisuseError(f"clamp is {str(clamp)[:40]}; it must be a number from 0 (none)")
    if type(first) is not int or (first and first not in published_resolutions(sizes["resolution"])):
        raise MisuseError(f"--float16-styles-from {str(first)[:40]}: it is 0, or a resolution of the network from 8 on")
    return dict(sizes)


def published_resolutions(last: int) -> list[int]:
    """8, 16, ... to the image's: of the blocks that the published code may compute in float16."""
    return [2**level for level in range(3, last.bit_length())]


def _recipe(model: str, sizes: Mapping[str, Any], imported: Imported) -> Recipe:
    taken = {OURS.get(name, name): sizes[name] for name in (*_WHOLE, "mbstd_group_size") if name in sizes}
    if model == "alis":
        taken |= {"patches": sizes["grid_size"], "input_resolution": sizes["input_resolution"]}
        taken |= {"anchor_distance": sizes["w_coord_dist"] // 2}
        taken |= {"float16_styles_from": sizes.get("float16_styles_from", 0)}
    clamp = float(sizes.get("clamp", 0.0))
    return Recipe(model=model, dataset="", budget=IMPORTED, images=0, batch=0, clamp=clamp, imported=imported, **taken)


def _told(sizes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {sizes[name]}" for name in (*_WHOLE, *published.OF_ALIS) if name in sizes)


def write(recipe: Recipe, halves: Mapping[str, Mapping[str, Tensor]], run: Path, path: Path) -> None:
    """Make a run with these state dicts, `average` and perhaps `discriminator`: beside its place, then there."""
    tensors = {
        f"{half}.{name}": tensor.detach().contiguous()
        for half, state in halves.items()
        for name, tensor in state.items()
    }
    atomic.make_folder(run.parent)
    try:
        with atomic.whole_folder(run) as temporary:
            recipes.save(recipe, temporary)
            checkpoints.sweep(temporary)
            checkpoints.save(temporary, 0, tensors, {"step": 0, "images": None, "devices": {}})
            refuse_existing(run)
    except metrics.NotFiniteError as error:
        raise InputError(f"{path} holds numbers that are none (NaN or infinity): {error.what}") from error


def sizes_of(text: bytes, model: str) -> dict[str, Any]:
    """The sizes that a JSON of sizes has for a model: those under its name, under its family's, or the whole.

    Raises MisuseError where there are none.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MisuseError(f"it is no JSON ({str(error)[:100]})") from error
    if isinstance(told, dict):
        for name in (model, model.partition("_")[0]):
            if isinstance(told.get(name), dict):
                return dict(told[name])
        if told.keys() & KNOWN_SIZES:
            return told
    names = ", ".join(str(name)[:40] for name in told)[:400] if isinstance(told, dict) else "none"
    raise MisuseError(f"it has no sizes of {model}; it has: {names}")
