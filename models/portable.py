"""Generators as one function of tensors, for use without this toolkit: `torch.export` programs and ONNX graphs.

Everything random is an input, so that whoever calls decides. Of n pictures, all float32 unless told:

- `stylegan2`: `latent`, `truncation`, noises of whole pictures;
- `alis`: a column of a panorama each: `left` and `right`, the latents of the anchors around it, `column` (int64 [n],
  columns from anchor 0; `sizes.span` of them lie between two anchors), `truncation`, noises of a column;
- `locogan`: a frame of a panorama each: `latent`, `column` (int64 [n], where it begins), `spatial` [n, channels, 4,
  cells], `truncation`, noises, the last three with the margins that `models.locogan.Extents` tells.

A latent is [n, z_dim] of normal numbers, `truncation` a number; or, with `styles`, ws [n, num_ws, w_dim] that are
taken as they are. `noise_0`, ... have the sizes [n, 1, height, width] of the convolutions in their order; zeros are no
noise. The output is `pixels` [n, 3, height, width], about [-1, 1].
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import alis, locogan, stylegan2

Generator = stylegan2.Generator | alis.Generator | locogan.Generator
OPSET = 18
PICTURES = 2  # in the example; the exported function takes any number
MOST = 4096  # pictures at once


@dataclass(frozen=True)
class Portable:
    """A generator as a function of tensors, and an example of what it takes."""

    network: nn.Module
    inputs: dict[str, Tensor]
    about: dict[str, str]  # sizes and what this is, for the file


class _Latents(nn.Module):
    """What all have in common: how a latent becomes styles."""

    def __init__(self, generator: Generator, styles: bool) -> None:
        super().__init__()
        self.generator = generator
        self.takes_styles = styles

    def styles(self, latent: Tensor, truncation: Tensor | None) -> Tensor:
        """ws [n, num_ws, w_dim]."""
        if truncation is None:
            return latent
        mapping = self.generator.mapping
        w: Tensor = mapping(latent)
        w = torch.where(truncation == 1, w, mapping.w_avg + truncation * (w - mapping.w_avg))
        return w[:, None].expand(-1, self.generator.synthesis.num_ws, -1)

    def split(self, rest: Sequence[Tensor]) -> tuple[Tensor | None, Sequence[Tensor]]:
        """Truncation, where there is one, and noises."""
        return (None, rest) if self.takes_styles else (rest[0], rest[1:])


class _Picture(_Latents):
    def forward(self, latent: Tensor, *rest: Tensor) -> Tensor:
        truncation, noise = self.split(rest)
        image: Tensor = self.generator.synthesis(self.styles(latent, truncation), noise)
        return image


class _Column(_Latents):
    def forward(self, left: Tensor, right: Tensor, column: Tensor, *rest: Tensor) -> Tensor:
        truncation, noise = self.split(rest)
        sizes = self.generator.sizes
        assert isinstance(sizes, alis.Sizes)
        pairs = torch.stack([left, right], 1).flatten(0, 1)  # [2 * n, ...]: a column's anchors are neighbours
        first = 2 * torch.arange(column.shape[0], device=column.device)
        places = alis.Places(first, column % sizes.span, column % (2 * sizes.patches))
        image: Tensor = self.generator.synthesis(self.styles(pairs, truncation), places, noise)
        return image


class _Frame(_Latents):
    def forward(self, latent: Tensor, column: Tensor, spatial: Tensor, *rest: Tensor) -> Tensor:
        truncation, noise = self.split(rest)
        ws = self.styles(latent, truncation)
        image: Tensor = self.generator.synthesis(ws, spatial, column, locogan.CELLS, noise)
        return image


def portable(generator: Generator, *, styles: bool = False) -> Portable:
    """The generator, on the CPU in float32, as a function of tensors. `styles`: of styles instead of latents."""
    made = copy.deepcopy(generator).cpu().float().eval().requires_grad_(False)
    made.synthesis.computing = None
    sizes, synthesis = made.sizes, made.synthesis
    latent = torch.zeros(PICTURES, synthesis.num_ws, sizes.w_dim) if styles else torch.zeros(PICTURES, sizes.z_dim)
    column = torch.zeros(PICTURES, dtype=torch.int64)
    network: nn.Module
    if isinstance(made, alis.Generator):
        network, inputs = _Column(made, styles), {"left": latent, "right": latent.clone(), "column": column}
        shapes = [(size, size // made.sizes.patches) for size in made.synthesis.noise_sizes]
    elif isinstance(made, locogan.Generator):
        extents = locogan.Extents(sizes.resolution, locogan.CELLS)
        spatial = torch.zeros(PICTURES, made.synthesis.inputs, locogan.CELLS, extents.input.width)
        network, inputs = _Frame(made, styles), {"latent": latent, "column": column, "spatial": spatial}
        widths = [extent.width for extent in extents.noise]
        shapes = list(zip(made.synthesis.noise_sizes, widths, strict=True))
    else:
        network, inputs = _Picture(made, styles), {"latent": latent}
        shapes = [(len(noise), len(noise)) for noise in made.synthesis.constant_noise()]
    if not styles:
        inputs["truncation"] = torch.ones(())
    inputs |= {f"noise_{at}": torch.zeros(PICTURES, 1, *shape) for at, shape in enumerate(shapes)}
    about = {name: str(value) for name, value in vars(sizes).items()}
    return Portable(network.eval(), inputs, about)


@torch.no_grad()
def program(made: Portable) -> torch.export.ExportedProgram:
    """The `torch.export` program, for any number of pictures."""
    count = torch.export.Dim("n", min=1, max=MOST)
    dims: list[Any] = [{0: count} if value.ndim else {} for value in made.inputs.values()]
    fixed = _fixed(made.network)
    return torch.export.export(made.network, tuple(made.inputs.values()), dynamic_shapes=_as_arguments(fixed, dims))


def _fixed(network: nn.Module) -> int:
    """How many arguments of its forward have names of their own."""
    return {_Picture: 1, _Column: 3, _Frame: 3}[type(network)]  # type: ignore[index]


def _as_arguments(fixed: int, dims: list[Any]) -> tuple[Any, ...]:
    return (*dims[:fixed], tuple(dims[fixed:]))


def save_program(made: Portable, path: Path) -> None:
    """Write it for `torch.export.load`; names and sizes are in its extra file `about.json`."""
    about = json.dumps({"inputs": list(made.inputs), **made.about})
    whole = io.BytesIO()  # torch ends the process where a disk is full, and keeps a file's name in the file
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)  # of tensors that are views
        torch.export.save(program(made), whole, extra_files={"about.json": about})
    path.write_bytes(whole.getbuffer())


def save_onnx(made: Portable, path: Path) -> None:
    """Write it as one ONNX file. Raises ImportError where the packages for that are missing."""
    import onnx  # noqa: F401  # what torch.onnx needs, told by its own name
    import onnxscript  # noqa: F401

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = torch.onnx.export(
            program(made),
            input_names=list(made.inputs),
            output_names=["pixels"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert graph is not None
    graph.model.metadata_props.update(made.about)
    graph.save(str(path), external_data=False)
