"""The same anchors, shifted: how exactly frames that are made apart agree where they show the same (Figure 3 of ALIS).

A row for each shift, in whole columns, which are what ALIS can be shifted by. A frame stands where it lies in the
panorama, so that equal things stand below each other; the number is the largest difference there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import measure
from benchmarks.worlds import World

SHIFTS = 4  # the last is a whole frame less a quarter
GAP = 4  # pixels between rows
GREY = 40  # of 255, where there is no picture


@dataclass(frozen=True)
class Equivariance:
    """The picture uint8 [3, height, width], the shifts in pixels, and what differs where frames overlap."""

    picture: Tensor
    shifts: tuple[int, ...]
    largest: float  # difference, in levels of 255 before rounding
    relative: float  # norm of the differences over that of the frames


def equivariance(world: World, start: int) -> Equivariance:
    """Frames of a world from column `start` on, each made by itself."""
    size, columns = world.height, world.frame_columns
    moved = [columns * one // SHIFTS for one in range(SHIFTS)]
    shifts = tuple(one * world.column_width for one in moved)
    frames = [world.columns(start + one, columns).double().cpu() for one in moved]
    picture = torch.full((3, SHIFTS * (size + GAP) - GAP, size + shifts[-1]), GREY, dtype=torch.uint8)
    for row, (frame, shift) in enumerate(zip(frames, shifts, strict=True)):
        top = row * (size + GAP)
        picture[:, top : top + size, shift : shift + size] = measure.pixels(frame)
    largest = difference = whole = 0.0
    for (one, at), (other, there) in itertools.combinations(zip(frames, shifts, strict=True), 2):
        left, right = one[:, :, there - at :], other[:, :, : size - (there - at)]
        largest = max(largest, float((left - right).abs().max()))
        difference += float((left - right).square().sum())
        whole += float(left.square().sum())
    return Equivariance(picture, shifts, 127.5 * largest, (difference / whole) ** 0.5 if whole else 0.0)
