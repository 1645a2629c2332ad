"""Taming Transformers as a generator of frames and wide pictures: codes by the transformer, pixels by the VQGAN.

Decoding has a catch (Esser et al. 2021, arXiv:2012.09841, appendix E, speaks of it): the decoder's normalisation and
attention see all codes that are decoded together, so a pixel of a wide picture hangs on how much of it is decoded at
once. Both ways are here, and a leaderboard names the one that was taken: the whole picture at once, or each frame
with a fixed number of columns of codes on both sides, which are cut off afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import counter_random, token_sampling
from models.counter_random import Kind
from models.gpt import GPT
from models.token_sampling import ALL, Choice
from models.vqgan import VQGAN

SLIDING, STREAMING = "sliding window, row by row", "streaming, column by column"  # orders of drawing


@dataclass(frozen=True)
class Decoding:
    """How much of a wide picture is decoded together."""

    context: int | None = 8  # columns of codes on both sides of a frame, as far as there are; None: the whole picture

    @property
    def name(self) -> str:
        """For a leaderboard."""
        return "decoded whole" if self.context is None else f"decoded with {self.context} columns of context"


@dataclass(frozen=True)
class Sizes:
    """What others ask of a generator."""

    resolution: int
    frame_columns: int  # of codes in a frame
    column_width: int  # pixels


class Generator(nn.Module):
    """Frames and wide pictures of a seed; pixels about [-1, 1], not clamped. Codes hang on seed and place alone."""

    def __init__(self, vqgan: VQGAN, gpt: GPT, choice: Choice = ALL) -> None:
        """Raises ValueError where the two do not fit each other."""
        super().__init__()
        if vqgan.sizes.codes != gpt.sizes.codes:
            raise ValueError(f"{vqgan.sizes.codes} codes of the VQGAN, {gpt.sizes.codes} of the transformer")
        token_sampling.room(gpt, vqgan.sizes.side)
        self.vqgan, self.gpt, self.choice = vqgan, gpt, choice
        self.sizes = Sizes(vqgan.sizes.resolution, vqgan.sizes.side, vqgan.sizes.factor)

    @property
    def device(self) -> torch.device:
        return self.gpt.places.device

    def frame_codes(self, seed: int, first: int, count: int) -> Tensor:
        """Codes int64 [count, side, side] of independent frames."""
        side = self.sizes.frame_columns
        index = torch.arange(first * side * side, (first + count) * side * side, device=self.device)
        numbers = counter_random.uniform(seed, Kind.FRAME_TOKEN, index, 1).view(count, side, side)
        return token_sampling.frames(self.gpt, numbers, self.choice)

    @torch.no_grad()
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0) -> Tensor:
        """Independent frames first ... first + count - 1 of a seed: [count, 3, resolution, resolution].

        Raises ValueError for a truncation other than 1, which there is none of here: set `choice`.
        """
        if truncation != 1:
            raise ValueError(f"truncation {truncation:g}: the transformer has none; choose a temperature or top-k")
        return self.vqgan.decode_codes(self.frame_codes(seed, first, count))

    def wide_codes(self, seeds: list[int], columns: int, order: str = SLIDING, stride: int = 1) -> Tensor:
        """Codes int64 [seeds, side, columns] of pictures a frame high, one for each seed.

        `order`: SLIDING as published, or STREAMING, in which the first columns of a wider picture are the same.
        """
        if order == SLIDING:
            return token_sampling.wide(
                self.gpt, self.sizes.frame_columns, self._numbers(seeds, 0, columns), self.choice
            )
        parts, there = [], 0
        for part in self.stream_codes(seeds, stride):
            parts.append(part)
            there += part.shape[2]
            if there >= columns:
                break
        return torch.cat(parts, 2)[:, :, :columns]

    def stream_codes(self, seeds: list[int], stride: int = 1) -> Iterator[Tensor]:
        """The same column by column, for ever: int64 [seeds, side, side], then [seeds, side, stride] each."""
        return token_sampling.streamed(
            self.gpt,
            self.sizes.frame_columns,
            lambda first, count: self._numbers(seeds, first, count),
            self.choice,
            stride,
        )

    def _numbers(self, seeds: list[int], first: int, count: int) -> Tensor:
        side = self.sizes.frame_columns
        index = torch.arange(first * side, (first + count) * side, device=self.device)
        each = [counter_random.uniform(seed, Kind.PANORAMA_TOKEN, index, 1).view(count, side).T for seed in seeds]
        return torch.stack(each)

    @torch.no_grad()
    def decode(self, codes: Tensor, first: int, count: int, decoding: Decoding) -> Tensor:
        """Pixels [n, 3, resolution, count * column_width] of some columns of wide pictures int64 [n, side, columns]."""
        columns, width = codes.shape[2], self.sizes.column_width
        context = columns if decoding.context is None else decoding.context
        left, right = max(0, first - context), min(columns, first + count + context)
        images = self.vqgan.decode_codes(codes[:, :, left:right])
        return images[..., (first - left) * width : (first - left + count) * width]

    def decode_frames(self, codes: Tensor, decoding: Decoding) -> Iterator[Tensor]:
        """The frames [n, 3, resolution, resolution] of wide pictures, from left to right."""
        side = self.sizes.frame_columns
        if decoding.context is None:
            strip = self.decode(codes, 0, codes.shape[2], decoding)
            yield from torch.split(strip, self.sizes.resolution, 3)
            return
        for first in range(0, codes.shape[2], side):
            yield self.decode(codes, first, min(side, codes.shape[2] - first), decoding)

    def stream(self, seed: int, decoding: Decoding, stride: int = 1) -> Iterator[Tensor]:
        """Frames [3, resolution, resolution] of a seed's endless picture, each once its context is drawn.

        Raises ValueError where the whole picture is to be decoded, which has no end.
        """
        if decoding.context is None:
            raise ValueError("a picture without end cannot be decoded whole: give a context")
        side, context = self.sizes.frame_columns, decoding.context
        kept: Tensor | None = None  # codes from `origin` on
        origin, frame = 0, 0
        for part in self.stream_codes([seed], stride):
            kept = part if kept is None else torch.cat([kept, part], 2)
            while origin + kept.shape[2] >= (frame + 1) * side + context:
                known = kept[:, :, : (frame + 1) * side + context - origin]
                yield self.decode(known, frame * side - origin, side, decoding)[0]
                frame += 1
                forgotten = max(0, frame * side - context) - origin
                kept, origin = kept[:, :, forgotten:], origin + forgotten

    def panorama(self, seed: int, frames: int, decoding: Decoding) -> Tensor:
        """The first frames of a seed's endless picture: [3, resolution, frames * resolution]."""
        return torch.cat(list(itertools.islice(self.stream(seed, decoding), frames)), 2)

    def wide_image(self, seed: int, frames: int, decoding: Decoding, order: str = SLIDING) -> Tensor:
        """A picture of this many frames [3, resolution, frames * resolution]; with another number it is another."""
        codes = self.wide_codes([seed], frames * self.sizes.frame_columns, order)
        return torch.cat(list(self.decode_frames(codes, decoding)), 3)[0]

    @property
    def decoding(self) -> Decoding:
        """How wide pictures are decoded where nothing else is asked for: with half a frame on both sides."""
        return Decoding(self.sizes.frame_columns // 2)

    @property
    def wide_bytes(self) -> int:
        """Memory that drawing one wide picture takes by the sliding window, about, however wide it is."""
        windows, sizes = self.sizes.frame_columns**2, self.gpt.sizes
        of_a_code = 2 * sizes.layers * sizes.width * self.gpt.head.weight.itemsize  # its keys and values
        return windows * (windows // 2) * of_a_code  # at any time windows are half full, on the mean
