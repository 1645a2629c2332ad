"""A transformer that says how likely each next code is: all codes so far at once, or one after another with a cache.

The architecture of GPT-2 (Radford et al. 2019), as Esser et al. 2021 (arXiv:2012.09841, section 3.2) use it: learned
places, normalisation before each half of a block. The sum that runs through the blocks has the number format of the
embeddings, whatever that of the matrices is.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

SPREAD = 0.02  # standard deviation of initial weights


@dataclass(frozen=True)
class Sizes:
    """Of a transformer; the defaults are those of the paper's row, with 304,932,864 parameters."""

    codes: int = 1024
    places: int = 512  # codes that it can look back on
    layers: int = 24
    heads: int = 16
    width: int = 1024

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared by {self.heads} heads")


class Cache:
    """Keys and values of the codes that some sequences [batch, length] consist of so far. `length` grows by use."""

    def __init__(self, gpt: GPT, batch: int, room: int) -> None:
        sizes, weight = gpt.sizes, gpt.head.weight
        shape = (sizes.layers, 2, batch, sizes.heads, room, sizes.width // sizes.heads)
        self.stored = torch.empty(shape, dtype=weight.dtype, device=weight.device)
        self.length = 0

    def reserve(self, room: int) -> None:
        """Make room for so many codes in all, where there is less."""
        if room > self.stored.shape[4]:
            larger = self.stored.new_empty((*self.stored.shape[:4], room, self.stored.shape[5]))
            larger[:, :, :, :, : self.length] = self.stored[:, :, :, :, : self.length]
            self.stored = larger

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [batch, heads, length + new, width / heads] with these new ones."""
        until = self.length + key.shape[2]
        kept = self.stored[layer, :, :, :, :until]
        kept[0, :, :, self.length :], kept[1, :, :, self.length :] = key, value
        return kept[0], kept[1]


class Block(nn.Module):
    """Attention to what came before, then two dense layers; each adds to x."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.norm0, self.norm1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, lengths: Sequence[int], layer: int, caches: Sequence[Cache | None]) -> Tensor:
        """x [batch, sum of lengths, width]: stretches of several sequences one after the other."""
        dtype = self.qkv.weight.dtype
        parts = torch.split(self.qkv(self.norm0(x).to(dtype)), list(lengths), 1)
        found = [self._attend(part, layer, cache) for part, cache in zip(parts, caches, strict=True)]
        x = x + self.out(found[0] if len(found) == 1 else torch.cat(found, 1))
        hidden = functional.gelu(self.up(self.norm1(x).to(dtype)))
        return x + cast(Tensor, self.down(hidden))

    def _attend(self, qkv: Tensor, layer: int, cache: Cache | None) -> Tensor:
        batch, new, _ = qkv.shape
        query, key, value = qkv.view(batch, new, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        known = key.shape[2]
        if new == known:
            found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            mask = torch.ones(new, known, dtype=torch.bool, device=qkv.device).tril(known - new) if new > 1 else None
            found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return found.transpose(1, 2).flatten(2)


class GPT(nn.Module):
    """Codes to the logits of the code that comes next."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.codes = nn.Embedding(sizes.codes, sizes.width)
        self.places = nn.Parameter(torch.zeros(sizes.places, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, sizes.codes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=SPREAD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits [batch, length, codes] after each of the codes int64 [batch, length], length <= places."""
        x = self._embedded(codes, 0)
        for layer, block in enumerate(self.blocks):
            x = block(x, [codes.shape[1]], layer, [None])
        return self._logits(x)

    def advance(self, sequences: Sequence[tuple[Tensor, Cache]]) -> list[Tensor]:
        """Logits [batch, codes] after the last code of each sequence.

        sequences: of each the codes that are new since the last call, int64 [batch, new >= 1], and its cache, which
        takes them up. All have one batch; the dense layers see all sequences at once.
        """
        caches = [cache for _, cache in sequences]
        lengths = [codes.shape[1] for codes, _ in sequences]
        x = torch.cat([self._embedded(codes, cache.length) for codes, cache in sequences], 1)
        for layer, block in enumerate(self.blocks):
            x = block(x, lengths, layer, caches)
        for cache, length in zip(caches, lengths, strict=True):
            cache.length += length
        ends = [end - 1 for end in itertools.accumulate(lengths)]
        return list(self._logits(x[:, ends]).unbind(1))

    def _embedded(self, codes: Tensor, first: int) -> Tensor:
        return cast(Tensor, self.codes(codes) + self.places[first : first + codes.shape[1]])

    def _logits(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.norm(x).to(self.head.weight.dtype))).to(x.dtype)


def in_format(gpt: GPT, dtype: torch.dtype) -> GPT:
    """A copy for generating whose matrices are in `dtype`; embeddings and normalisation stay as they are."""
    made = copy.deepcopy(gpt).eval().requires_grad_(False)
    for module in made.modules():
        if isinstance(module, nn.Linear):
            module.to(dtype)
    return made
