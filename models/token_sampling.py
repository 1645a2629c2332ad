"""Codes drawn from a transformer: of a frame, of a wide picture, of one that grows to the right without end.

The transformer knows windows of side x side codes, row by row, after a code that begins them. Esser et al. 2021
(arXiv:2012.09841, section 3.3) draw wide pictures row by row, each code from the window around it, which costs a pass
over up to a whole window for each code. Two things make that cheaper here and change nothing. A window is used again
one row below, where all it saw before still stands: its keys and values are kept, and only the codes in between pass
the transformer, about `side` of them. And a row need not wait for the whole row above it, only for what its window
shows of it: up to columns / side rows, `side` at most, are drawn at once.

Which code is drawn depends on the logits and one given number in [0, 1) for each place, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.gpt import GPT, Cache

START = 0  # what a window begins with: the published transformers use a code of the codebook again

Numbers = Callable[[int, int], Tensor]  # first column, columns -> float64 [batch, side, columns]


@dataclass(frozen=True)
class Choice:
    """How a code is chosen among those that may come next."""

    temperature: float = 1.0  # logits are divided by it
    top_k: int = 0  # only so many of the likeliest; 0: all
    top_p: float = 1.0  # only the fewest likeliest that together have this probability

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise ValueError(f"{self}: temperature is above 0, top_k at least 0, top_p above 0 and at most 1")

    @property
    def name(self) -> str:
        """For a leaderboard."""
        k = f", top-k {self.top_k}" if self.top_k else ""
        p = f", top-p {self.top_p:g}" if self.top_p < 1 else ""
        return f"temperature {self.temperature:g}{k}{p}"


ALL = Choice()


def pick(logits: Tensor, numbers: Tensor, choice: Choice = ALL) -> Tensor:
    """Codes int64 [n] of logits [n, codes] and numbers float64 [n] in [0, 1).

    The codes share [0, 1) in the order of their names, so that logits which differ by rounding give other codes only
    where a number lies within rounding of a border.
    """
    scaled = logits.double() / choice.temperature
    if 0 < choice.top_k < logits.shape[1]:
        least = scaled.topk(choice.top_k, 1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = scaled.softmax(1)
    if choice.top_p < 1:
        ordered, order = probabilities.sort(dim=1, descending=True, stable=True)
        before = ordered.cumsum(1) - ordered  # of all that are likelier
        kept = torch.zeros_like(ordered, dtype=torch.bool).scatter(1, order, before < choice.top_p)
        probabilities = probabilities * kept
    until = probabilities.cumsum(1)
    wanted = numbers.to(until.device)[:, None] * until[:, -1:]
    first = torch.searchsorted(until, wanted, right=True)[:, 0]
    return first.clamp(max=logits.shape[1] - 1)


def room(gpt: GPT, side: int) -> int:
    """Codes of a window. Raises ValueError where the transformer has fewer places."""
    if side * side > gpt.sizes.places:
        raise ValueError(f"windows of {side}x{side} codes need {side * side} places; there are {gpt.sizes.places}")
    return side * side


@torch.inference_mode()
def fill(gpt: GPT, window: Tensor, known: int, numbers: Tensor, choice: Choice = ALL) -> Tensor:
    """The window int64 [batch, side, side] with all but its first `known` columns drawn, row by row.

    numbers: float64 [batch, side, side - known]. With `known` 0 that is a frame.
    """
    batch, side, _ = window.shape
    window = window.clone()
    cache = Cache(gpt, batch, room(gpt, side))
    waiting = torch.full_like(window[:, 0, :1], START)
    for row in range(side):
        waiting = torch.cat([waiting, window[:, row, :known]], 1)
        for column in range(known, side):
            (logits,) = gpt.advance([(waiting, cache)])
            window[:, row, column] = pick(logits, numbers[:, row, column - known], choice)
            waiting = window[:, row, column : column + 1]
    return window


def frames(gpt: GPT, numbers: Tensor, choice: Choice = ALL) -> Tensor:
    """Codes int64 [batch, side, side] of frames; numbers: float64 of the same shape."""
    empty = torch.zeros(numbers.shape, dtype=torch.int64, device=gpt.places.device)
    return fill(gpt, empty, 0, numbers, choice)


def streamed(gpt: GPT, side: int, numbers: Numbers, choice: Choice = ALL, stride: int = 1) -> Iterator[Tensor]:
    """Codes of a picture that grows to the right for ever: int64 [batch, side, side], then [batch, side, stride] each.

    After a frame, `stride` columns at a time are drawn as the last ones of a window whose others are known: another
    order than `wide` has, in which no code sees what will stand to the right above it. Memory does not grow.
    """
    if not 1 <= stride <= side:
        raise ValueError(f"{stride} columns at a time: 1 to {side} are possible")
    window = frames(gpt, numbers(0, side), choice)
    yield window
    place = side
    while True:
        window = torch.cat([window[:, :, stride:], torch.zeros_like(window[:, :, :stride])], 2)
        window = fill(gpt, window, side - stride, numbers(place, stride), choice)
        place += stride
        yield window[:, :, side - stride :]


def begin(place: int, side: int, length: int) -> int:
    """Where the window of a place begins, along one axis: the place stands in its middle, or nearer to an end."""
    return min(max(place - side // 2, 0), length - side)


def _end(start: int, side: int, length: int) -> int:
    """The last place whose window begins there."""
    return length - 1 if start == length - side else start + side // 2


@torch.inference_mode()
def wide(gpt: GPT, side: int, numbers: Tensor, choice: Choice = ALL) -> Tensor:
    """Codes int64 [batch, rows, columns] by the sliding window; numbers: float64 of this shape, both at least `side`.

    Code by code those of a full pass over the window for each. Pictures as high as a frame keep up to side * side
    windows' keys and values at a time, however wide they are; higher ones profit little.
    """
    batch, rows, columns = numbers.shape
    if min(rows, columns) < side:
        raise ValueError(f"{rows}x{columns} codes are less than a window of {side}x{side}")
    room(gpt, side)
    codes = torch.zeros(numbers.shape, dtype=torch.int64, device=gpt.places.device)
    start = torch.full((batch, 1), START, device=codes.device)
    caches: dict[tuple[int, int], Cache] = {}
    done = [0] * rows  # columns of each row
    while done[-1] < columns:
        places = [(row, done[row]) for row in range(rows) if _may_go_on(row, done, side, columns)]
        windows = [(begin(row, side, rows), begin(column, side, columns)) for row, column in places]
        sequences = []
        for (row, column), (top, left) in zip(places, windows, strict=True):
            needed = (row - top) * side + column - left + 1  # the beginning, and what stands before the place
            cache = caches.setdefault((top, left), Cache(gpt, batch, needed))
            cache.reserve(needed)
            window = codes[:, top : top + side, left : left + side].flatten(1)
            sequences.append((torch.cat([start, window], 1)[:, cache.length : needed], cache))
        found = gpt.advance(sequences)
        for (row, column), (top, left), logits in zip(places, windows, found, strict=True):
            codes[:, row, column] = pick(logits, numbers[:, row, column], choice)
            done[row] += 1
            if (row, column) == (_end(top, side, rows), _end(left, side, columns)):
                del caches[top, left]
    return codes


def _may_go_on(row: int, done: list[int], side: int, columns: int) -> bool:
    """Whether all that the next place of a row looks back on is drawn."""
    if done[row] == columns:
        return False
    return row == 0 or done[row - 1] >= begin(done[row], side, columns) + side
