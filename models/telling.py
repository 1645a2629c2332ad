"""Which regions of a picture tell a classifier of places where its parts lie: by covering them, one after another.

Where a covered block (Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2) makes the classifier less sure of the
true place, the block told it. It is covered by the mean colours of its rows, so that sky stays sky and land stays land.
Works with any classifier, and costs a few dozen of its judgements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

ROWS, COLUMNS = 8, 6  # cells of a part
BLOCK = 2  # cells: the side of what is covered at once
SURE = 1e-6  # probabilities nearer to 0 or 1 count as this


def regions(judge: Callable[[Sequence[Tensor]], Tensor], tiles: Tensor) -> Tensor:
    """How much each cell of a picture tells: float32 [ROWS, parts * COLUMNS], in log-odds of the true place.

    `tiles` are the parts uint8 [parts, 3, height, width]; `judge` gives probabilities [n, part, place] of n such
    pictures. Above 0: the cell tells the place; below: it misleads.
    """
    parts, _, height, width = tiles.shape
    down, across = ROWS - BLOCK + 1, COLUMNS - BLOCK + 1
    covered = tiles.repeat(down * across, 1, 1, 1, 1)  # [blocks, parts, 3, height, width]
    rows = tiles.float().mean(3, keepdim=True).round().to(torch.uint8)  # [parts, 3, height, 1]
    for row in range(down):
        for column in range(across):
            top, bottom = (round(cell * height / ROWS) for cell in (row, row + BLOCK))
            left, right = (round(cell * width / COLUMNS) for cell in (column, column + BLOCK))
            covered[row * across + column, :, :, top:bottom, left:right] = rows[:, :, top:bottom]
    without = _log_odds(judge(list(covered)))  # [blocks, parts]
    drop = (_log_odds(judge([tiles])) - without).T.view(parts, 1, down, across)
    share = torch.ones(1, 1, BLOCK, BLOCK)
    summed = functional.conv_transpose2d(drop, share)[:, 0]  # [parts, ROWS, COLUMNS]
    counted = functional.conv_transpose2d(torch.ones(1, 1, down, across), share)[0, 0]
    return torch.cat(list(summed / counted), 1)


def _log_odds(probabilities: Tensor) -> Tensor:
    """Of the true place: [n, parts] of [n, part, place]."""
    p = probabilities.diagonal(dim1=1, dim2=2).double().clamp(SURE, 1 - SURE)
    return (p.log() - (1 - p).log()).float()
