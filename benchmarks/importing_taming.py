"""Taming Transformers that others trained become runs: a released checkpoint of the transformer, with its VQGAN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import importing, networks
from benchmarks.recipes import IMPORTED, Imported, Recipe
from manifests.errors import InputError, MisuseError
from models import published_taming, taming
from models.weights import WeightsError, read_sha256, read_tensors

UNTOLD = {"resolution": 256, "heads": 16}  # sizes that no tensor's shape tells, as they were published


def bring(path: Path, sizes: Mapping[str, Any], run: Path) -> Recipe:
    """Make the folder `run` of a file's VQGAN and transformer: all of it, or none; its recipe.

    sizes: `resolution` and `heads`, where they are not the published ones. Raises InputError for a file that holds
    something else, or would have something run; MisuseError for sizes that make no sense, and where `run` is there.
    """
    importing.refuse_existing(run)
    told = {name: sizes.get(name, usual) for name, usual in UNTOLD.items()}
    for name, size in told.items():
        if type(size) is not int or not 1 <= size <= importing.LARGEST:
            raise MisuseError(f"{name} is {str(size)[:40]}; it must be a whole number from 1 to {importing.LARGEST:,}")
    generator = _read(path, told)
    coder, transformer = generator.vqgan.sizes, generator.gpt.sizes
    recipe = Recipe(
        model="taming",
        dataset="",
        budget=IMPORTED,
        images=0,
        batch=0,
        imported=Imported(path.name, read_sha256(path), ("VQGAN", "transformer")),
        resolution=coder.resolution,
        codes=coder.codes,
        code_width=coder.code_width,
        vqgan_latent=coder.latent,
        vqgan_channels=coder.channels,
        vqgan_multiples=",".join(map(str, coder.multiples)),
        vqgan_blocks=coder.blocks,
        vqgan_groups=coder.groups,
        gpt_layers=transformer.layers,
        gpt_heads=transformer.heads,
        gpt_width=transformer.width,
        gpt_places=transformer.places,
    )
    networks.check(recipe)
    importing.write(recipe, {"average": generator.state_dict()}, run, path)
    return recipe


def _read(path: Path, told: Mapping[str, int]) -> taming.Generator:
    importing.refuse_missing(path)
    try:
        found = published_taming.from_checkpoint(read_tensors(path), **told)
        if found.vqgan is None or found.gpt is None:
            missing = "transformer" if found.gpt is None else "VQGAN"
            raise MisuseError(f"{path} holds no {missing}: take the checkpoint of the transformer, which holds both")
        coder = found.vqgan.sizes
        if coder.attention_at != (coder.side,):
            at = ", ".join(map(str, coder.attention_at)) or "no size"
            raise InputError(
                f"{path} attends at {at} of {coder.resolution} pixels; a run attends at {coder.side}, that of its codes"
            )
        return taming.Generator(found.vqgan, found.gpt)
    except WeightsError as error:
        raise InputError(str(error)) from error
    except ValueError as error:
        raise MisuseError(f"{path}: {error}; is its resolution or its number of heads another? (--sizes)") from error
