"""Covering finds the regions that a classifier goes by, and no others."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models import patch_classifier, telling
from models.telling import COLUMNS, ROWS


def _looks_at(row: int, column: int) -> tuple[Tensor, object]:
    """Tiles of two parts with one bright cell in the left part, and a judge that knows the left part by it alone."""
    tiles = torch.full((2, 3, ROWS * 4, COLUMNS * 4), 40, dtype=torch.uint8)
    cell = (slice(row * 4, row * 4 + 4), slice(column * 4, column * 4 + 4))
    tiles[0, :, cell[0], cell[1]] = 240

    def judge(pictures: Sequence[Tensor]) -> Tensor:
        brightness = torch.stack([picture[0, :, cell[0], cell[1]].float().mean() for picture in pictures]) / 255
        left = torch.stack([brightness, 1 - brightness], 1)  # [n, place]
        return torch.stack([left, torch.full_like(left, 0.5)], 1)

    return tiles, judge


def test_the_cell_that_a_judge_goes_by_is_the_one_that_tells() -> None:
    tiles, judge = _looks_at(5, 2)
    cells = telling.regions(judge, tiles).numpy()
    assert cells.shape == (ROWS, 2 * COLUMNS)
    assert np.unravel_index(cells.argmax(), cells.shape) == (5, 2)
    assert (np.abs(cells[:, COLUMNS:]) < 1e-6).all()  # nothing in the right part tells
    assert (np.abs(cells[:4]) < 1e-6).all()
    assert cells[5, 2] > 1


def test_what_speaks_for_a_wrong_place_is_below_zero() -> None:
    tiles, judge = _looks_at(5, 2)
    cells = telling.regions(lambda pictures: judge(pictures).flip(2), tiles).numpy()
    assert cells.min() < -1
    assert cells.max() < 1e-6


def test_of_pictures_with_a_thing_across_the_middle_the_middle_tells() -> None:
    generator = torch.Generator().manual_seed(0)
    height, width = patch_classifier.TILE_HEIGHT, 2 * patch_classifier.TILE_WIDTH
    whole = torch.randint(0, 256, (64, 3, height, width), generator=generator).to(torch.uint8)
    whole[:, :, 8:28, width // 2 - 8 : width // 2 + 8] //= 6
    pictures = torch.stack(whole.chunk(2, 3), 1)
    network = patch_classifier.train(pictures, patch_classifier.Sizes(), seed=0, steps=150)

    def judge(some: Sequence[Tensor]) -> Tensor:
        return patch_classifier.probabilities(network, torch.stack(list(some)))

    cells = torch.stack([telling.regions(judge, picture) for picture in pictures[:8]]).mean(0)  # [ROWS, 2 * COLUMNS]
    near = cells[2:, COLUMNS - 3 : COLUMNS + 3].mean()  # the thing, and where it ends
    far = (cells[2:, : COLUMNS - 3].mean() + cells[2:, COLUMNS + 3 :].mean()) / 2
    assert near > 0.1
    assert near > 1.5 * far
    row, column = np.unravel_index(cells.numpy().argmax(), cells.shape)
    assert row >= 2
    assert COLUMNS - 3 <= column < COLUMNS + 3
