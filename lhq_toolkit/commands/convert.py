"""`lhq convert`: a run's generator as one file for other programs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.commands.evaluate import Checkpoint, Run
from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError, SetupError


class Inputs(StrEnum):
    """What `--inputs` may say."""

    LATENTS = "latents"
    STYLES = "styles"


def convert(
    run: Run,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="FILE.onnx, or FILE.pt2: torch.export.")],
    inputs: Annotated[
        Inputs, typer.Option("--inputs", help="latents: normal numbers and a truncation; styles: what comes of them.")
    ] = Inputs.LATENTS,
    checkpoint: Checkpoint = "last",
    json_: Json = False,
) -> int:
    """Write the generator of a checkpoint of RUN, the last, as one function of tensors: ONNX, or torch.export.

    ALIS makes columns of a panorama from the latents of the two anchors around each, and its place; LocoGAN frames
    of one from a latent, spatial noise and a place; StyleGAN2 pictures. Noises are inputs too (zeros: none), and any
    number is made at once. What goes in and out is printed.
    """
    suffix = out.suffix.lower()
    if suffix not in (".onnx", ".pt2"):
        raise MisuseError(f"-o {out}: give a name that ends in .onnx or .pt2")
    if out.exists():
        raise MisuseError(f"{out} exists; choose another name")
    from lhq_toolkit.commands.machine import DeviceName, prepare

    device = prepare(DeviceName.CPU, None)
    from benchmarks import runs
    from benchmarks.plugin_model import PluginGenerator
    from manifests import atomic
    from models import portable, taming

    snapshot = runs.open_checkpoint(run, device, checkpoint)
    if isinstance(snapshot.generator, taming.Generator):
        raise MisuseError(f"{run}: taming draws code after code, which is no single program: take another model")
    if isinstance(snapshot.generator, PluginGenerator):
        raise MisuseError(f"{run}: a file of {snapshot.recipe.model} is for its package to write: take another model")
    made = portable.portable(snapshot.generator, styles=inputs is Inputs.STYLES)
    atomic.make_folder(out.parent)
    try:
        with atomic.replacing(out) as temporary:
            (portable.save_onnx if suffix == ".onnx" else portable.save_program)(made, temporary)
    except ImportError as error:
        raise SetupError(
            f"ONNX needs a package that is not here ({error.name}): pip install onnx onnxscript"
        ) from error
    sizes = {name: ["n", *value.shape[1:]] if value.ndim else [] for name, value in made.inputs.items()}
    if json_:
        print(json.dumps({"file": str(out), "inputs": sizes, "output": "pixels"}))
        return 0
    print(f"{out}: {snapshot.recipe.model} as a function that gives pixels [n, 3, height, width], about [-1, 1], of")
    for name, value in made.inputs.items():
        kind = "int64" if value.dtype.is_floating_point is False else "float32"
        print(f"  {name:<12}{kind:<9}[{', '.join(map(str, sizes[name]))}]")
    return 0
