"""Generators made ready for nothing but generating: a number format for their convolutions, and compilation.

Styles, demodulation, coordinates and the sum of the pictures stay in float32: the arithmetic is the same in every
format, up to its rounding.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from models import alis, locogan, stylegan2
from models.layers import StyledConv, ToRGB

Generator = stylegan2.Generator | alis.Generator | locogan.Generator
G = TypeVar("G", bound=Generator)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
REPEATS = 3


def ready(generator: G, dtype: torch.dtype = torch.float32) -> G:
    """A copy that generates faster and cannot be trained: convolutions in `dtype`, all that no style changes folded.

    ALIS's demodulation goes into its weights, and its coordinates, which repeat, are kept.
    """
    made = copy.deepcopy(generator)
    made.eval().requires_grad_(False)
    made.synthesis.computing = None  # `dtype` says it
    static = isinstance(generator, alis.Generator)
    for layer in made.modules():
        if static and isinstance(layer, StyledConv):
            layer.fold(alis.demodulation(layer))
        if isinstance(layer, alis.Coordinates):
            layer.remember(dtype)
        if isinstance(layer, StyledConv):
            layer.bias.data = layer.bias.data.to(dtype)
        if isinstance(layer, StyledConv | ToRGB):
            layer.weight.data = layer.weight.data.to(dtype)
    return made


def compiled(generator: G) -> G:
    """The generator with its synthesis compiled by PyTorch; on a GPU as CUDA graphs. Takes a minute at first use."""
    on_gpu = next(generator.parameters()).is_cuda
    generator.synthesis.forward = torch.compile(  # type: ignore[method-assign]
        generator.synthesis.forward, mode="reduce-overhead" if on_gpu else "default", dynamic=False
    )
    return generator


@dataclass(frozen=True)
class Choice:
    """The fastest way that was found, and what each took; None where it did not work here, with the reason."""

    generator: Generator
    name: str
    seconds: dict[str, float | None]
    reasons: dict[str, str]

    def told(self) -> str:
        """In one line what was tried and taken."""
        took = [f"{name} {1e3 * one:.0f} ms" for name, one in self.seconds.items() if one is not None]
        failed = [f"{name} failed ({reason})" for name, reason in self.reasons.items()]
        return f"taken: {self.name}; tried: " + ", ".join([*took, *failed])


def fastest(generator: Generator, draw: Callable[[Generator], Tensor]) -> Choice:
    """Try float32, bfloat16, and bfloat16 compiled on what is to be drawn; take what is fastest here.

    A way that does not work on this machine (no compiler, say) is left out and the reason kept.
    """
    ways: dict[str, Callable[[], Generator]] = {
        "float32": lambda: ready(generator),
        "bfloat16": lambda: ready(generator, torch.bfloat16),
        "bfloat16, compiled": lambda: compiled(ready(generator, torch.bfloat16)),
    }
    made: dict[str, Generator] = {}
    seconds: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, make in ways.items():
        try:
            made[name] = make()
            seconds[name] = _median_seconds(made[name], draw)
        except Exception as error:  # compilers fail in ways of their own; the plain way always remains
            if name == "float32":
                raise
            seconds[name], reasons[name] = None, f"{type(error).__name__}: {error}".splitlines()[0][:200]
    best = min((name for name in made if seconds[name] is not None), key=lambda name: seconds[name] or 0.0)
    return Choice(made[best], best, seconds, reasons)


@torch.no_grad()
def _median_seconds(generator: Generator, draw: Callable[[Generator], Tensor]) -> float:
    taken = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        if draw(generator).is_cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])
