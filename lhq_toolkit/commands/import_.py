"""`lhq import`: a network that others published becomes a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from benchmarks.recipes import Recipe

SIZES_BYTES = 2**20  # at most, of a JSON of sizes


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Safetensors with published names, a .pkl of ALIS or StyleGAN2-ADA, a .ckpt of Taming Transformers.",
        ),
    ],
    model: Annotated[str, typer.Option("--model", metavar="ID", help="alis, stylegan2 or taming.")],
    run: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="The run's folder; a new one.")],
    sizes: Annotated[
        Path | None,
        typer.Option(
            "--sizes",
            metavar="FILE.json",
            help="resolution, z_dim, ..., also several under names: --model alis_grid2 takes those called so. A .pkl "
            "tells its own; of safetensors of ALIS nobody else tells grid_size and w_coord_dist; of taming "
            "nobody else tells resolution (256) and heads (16).",
        ),
    ] = None,
    float16_styles_from: Annotated[
        int | None,
        typer.Option(
            "--float16-styles-from",
            min=0,
            metavar="RESOLUTION",
            show_default="as a .pkl says, else 0",
            help="ALIS: from this resolution on divide styles by their largest value, which the published code does "
            "where it computes in float16, and which changes its pictures (128 in the released one of 1,024 pixels); "
            "0: nowhere, as in its float32.",
        ),
    ] = None,
    json_: Json = False,
) -> int:
    """Make a RUN of a published network, for generate, evaluate, serve and convert. Nothing of FILE is executed.

    Of a .pkl the running average (G_ema) is taken, and the discriminator. RUN/recipe.json names the file and its
    SHA-256, and says nothing of a training.
    """
    told = _read_sizes(sizes, model) if sizes is not None else {}
    recipe = _bring(file, model, told, float16_styles_from, run)
    if json_:
        print(json.dumps({"run": str(run), **dataclasses.asdict(recipe)}))
    else:
        print(_summary(run, recipe))
    return 0


def _bring(file: Path, model: str, told: dict[str, Any], float16_styles_from: int | None, run: Path) -> Recipe:
    from benchmarks import importing, importing_taming
    from models import published

    if float16_styles_from is not None:
        if model.partition("_")[0] != "alis":
            raise MisuseError(f"--float16-styles-from: {model} computes the same in every number format; leave it out")
        told["float16_styles_from"] = float16_styles_from
    if model == "taming":
        return importing_taming.bring(file, told, run)
    try:
        family = published.family(model)
        if family not in published.FAMILIES:
            raise ValueError(f"{model}: a run needs a generator")
    except ValueError as error:
        raise MisuseError(f"--model {error}") from error
    return importing.bring(file, family, told, run)


def _read_sizes(path: Path, model: str) -> dict[str, Any]:
    from benchmarks import importing

    try:
        with path.open("rb") as stream:
            return importing.sizes_of(stream.read(SIZES_BYTES), model)
    except OSError as error:
        raise MisuseError(f"--sizes {path} cannot be read ({error.strerror}); check the path") from error
    except MisuseError as error:
        raise MisuseError(f"--sizes {path}: {error}") from error


def _summary(run: Path, recipe: Recipe) -> str:
    assert recipe.imported is not None
    of_what = " and ".join(recipe.imported.networks)
    text = f"{run}: {recipe.model} at {recipe.resolution}x{recipe.resolution}, {of_what} of {recipe.imported.file}"
    if recipe.model != "alis":
        return text
    first = recipe.float16_styles_from
    where = f"from {first}x{first} on, as published in float16" if first else "nowhere, as published in float32"
    return f"{text}; styles divided by their largest value: {where} (--float16-styles-from)"
