"""Random numbers without a state: every number is a function of (seed, kind, layer, index).

Philox4x64-10 of Salmon, Moraes, Dror and Shaw 2011, 'Parallel Random Numbers: As Easy as 1, 2, 3' (section 3.3),
computed in int64, whose wrapping products and sums have the bits of unsigned arithmetic. The key is
(seed, kind * 2**32 + layer), the counter is (block within the item, index of the item, 0, 0): any item can be had
at any time, on any device, and negative indices are as good as others (two's complement).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)  # added to the key after each round
_ROUNDS = 10

Words = tuple[Tensor, Tensor, Tensor, Tensor]


class Kind(enum.IntEnum):
    """What a number is for: numbers of different kinds are independent. The values are part of every picture."""

    LATENT = 0  # of a single image
    ANCHOR = 1  # of a panorama
    NOISE = 2  # of a panorama's columns
    FRAME_LATENT = 3  # three for each frame that has anchors of its own
    FRAME_NOISE = 4
    FRAME_SHIFT = 5
    IMAGE_NOISE = 6
    PANORAMA_LATENT = 7  # the one of a whole panorama
    SPATIAL = 8  # a panorama's input, which is noise
    FRAME_SPATIAL = 9
    CLUSTERED = 10  # latents among which clusters are found
    FRAME_TOKEN = 11  # which code is drawn at each place of a frame
    PANORAMA_TOKEN = 12
    TRAINING_LATENT = 16  # of the fakes of a training
    TRAINING_NOISE = 17
    TRAINING_SHIFT = 18  # where a fake frame stands among its anchors
    TRAINING_MIXING = 19  # whether and from which layer on a fake has a second style
    TRAINING_PATH = 20  # the random image that path lengths are measured along
    TRAINING_ORDER = 21  # of the pictures in an epoch
    TRAINING_MIRROR = 22
    TRAINING_SPATIAL = 23
    TRAINING_AUGMENT = 24  # how a picture is changed before the discriminator sees it
    TRAINING_CODES = 25  # which encodings a codebook begins with
    FILTER = 32  # of the small feature network
    SAMPLE = 33  # which features are kept where not all are


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit word. Raises ValueError when it is not one."""
    if not 0 <= word < 2**64:
        raise ValueError(f"{word} does not fit into 64 bits without a sign")
    return word - (word >> 63 << 64)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """x >> bits with zeros, not the sign, moving in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _multiply(x: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """High and low word of the 128-bit product of x with an unsigned constant."""
    high, low = constant >> 32, constant & _MASK32
    x_high, x_low = _shifted(x, 32), x & _MASK32
    middle = x_high * low + _shifted(x_low * low, 32)
    carried = x_low * high + (middle & _MASK32)
    return x_high * high + _shifted(middle, 32) + _shifted(carried, 32), x * _signed(constant)


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four words for each counter: int64 tensors, broadcast against each other, that hold unsigned 64-bit words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + _signed(_WEYL[0]), k1 + _signed(_WEYL[1])
    return c0, c1, c2, c3


def _words(seed: int, kind: Kind, layers: Sequence[tuple[int, int]], index: Tensor) -> Words:
    """Words [items, blocks] for the items `index` (int64 [items], on the device where the numbers are wanted).

    `layers`: (number of the layer, blocks of four words of it), one after the other.
    """
    zero = torch.zeros((), dtype=torch.int64, device=index.device)
    block = torch.cat([torch.arange(blocks, device=index.device) for _, blocks in layers])
    keys = torch.tensor([_signed(int(kind) << 32 | layer) for layer, _ in layers], device=index.device)
    layer_key = keys.repeat_interleave(torch.tensor([blocks for _, blocks in layers], device=index.device))
    return philox((block, index[:, None], zero, zero), (zero + _signed(seed), layer_key))


def _uniform(word: Tensor) -> Tensor:
    """53 of the 64 bits as a float64 in [0, 1)."""
    return _shifted(word, 11).double() * 2.0**-53


def normal(seed: int, kind: Kind, layer: int, index: Tensor, count: int) -> Tensor:
    """Standard normal numbers, float32 [items, count], for the items `index` (int64 [items], any sign).

    Box-Muller in float64. Raises ValueError when the seed is not in [0, 2**64).
    """
    return _normal(seed, kind, [(layer, count)], index)[0]


def normals(seed: int, kind: Kind, index: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """What `normal` gives for layers 0, 1, ... with these counts, in one go."""
    return _normal(seed, kind, list(enumerate(counts)), index)


def _normal(seed: int, kind: Kind, layers: Sequence[tuple[int, int]], index: Tensor) -> list[Tensor]:
    blocks = [-(-count // 4) for _, count in layers]
    words = _words(seed, kind, [(layer, many) for (layer, _), many in zip(layers, blocks, strict=True)], index)
    numbers = []
    for first, second in (words[:2], words[2:]):
        radius = (-2 * (1 - _uniform(first)).log()).sqrt()  # 1 - u lies in (0, 1]
        angle = 2 * math.pi * _uniform(second)
        numbers += [radius * angle.cos(), radius * angle.sin()]
    every = torch.stack(numbers, 2).float()  # [items, blocks, 4]
    parts = torch.split(every, blocks, 1)
    return [part.flatten(1)[:, :count] for part, (_, count) in zip(parts, layers, strict=True)]


def uniform(seed: int, kind: Kind, index: Tensor, count: int) -> Tensor:
    """Numbers in [0, 1), float64 [items, count], for the items `index` (int64 [items], any sign)."""
    words = _words(seed, kind, [(0, -(-count // 4))], index)
    return torch.stack([_uniform(word) for word in words], 2).flatten(1)[:, :count]


def integers(seed: int, kind: Kind, index: Tensor, below: int) -> Tensor:
    """Whole numbers in [0, below), int64 [items], one for each item of `index`; uniform to below * 2**-63."""
    return (_shifted(_words(seed, kind, [(0, 1)], index)[0], 1) % below)[:, 0]
