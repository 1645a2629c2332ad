"""Adaptive augmentation of what a discriminator sees, for trainings on few pictures.

Karras et al. 2020, 'Training Generative Adversarial Networks with Limited Data' (arXiv:2006.06676): every
transformation is done to a picture with the same probability, the strength (section 2.2, with the distributions of
appendix B), and the strength follows how sure the discriminator is of real pictures (section 3). All is linear in the
pictures up to a constant, so gradients of gradients (R1) go through it. Random numbers belong to a picture's number.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import counter_random
from models.counter_random import Kind

# Each is decided about by a number of its own, in this order, which must stay.
MOVES = ("mirror", "turn", "shift", "zoom", "rotation", "stretch", "second rotation", "fraction")
COLOURS = ("brightness", "contrast", "luma", "hue", "saturation")
UNIFORM = 8  # further numbers in [0, 1)
NORMAL = 7
LARGEST_SHIFT = 0.125  # whole pixels: share of the side. Fractions of pixels: deviation, share of the side
ZOOM, BRIGHTNESS, CONTRAST, SATURATION = 0.2 * math.log(2), 0.2, 0.5 * math.log(2), math.log(2)  # deviations
LOBES = 3  # of the Lanczos filter

EVERY = 4  # batches


@dataclass(frozen=True)
class Changes:
    """What happens to each of n pictures, in this order. Positions are (x, y), in pixels from the picture's centre."""

    mirrored: Tensor  # bool [n]
    turns: Tensor  # int64 [n]: quarter turns against the clock
    shift: Tensor  # int64 [n, 2]: whole pixels to the right and down
    moved: Tensor  # bool [n]: whether it is resampled, with
    back: Tensor  # float64 [n, 2, 3]: from a position in the result to the one in the picture that is seen there
    coloured: Tensor  # bool [n]: whether its colours change, with
    colour: Tensor  # float64 [n, 3, 4]: red, green, blue and 1 to red, green, blue


def augment(images: Tensor, strength: float | Tensor, seed: int, index: Tensor) -> Tensor:
    """Pictures [n, 3, size, size] about [-1, 1], changed: same shape and type, twice differentiable.

    strength: in [0, 1], also a tensor without dimensions; 0 gives the pictures themselves. index: int64 [n], on the
    device; pictures that shall change differently have different ones (real ones and fakes, say), and one that is
    seen twice in a batch (for its logit and for R1, say) changes alike with the same.
    """
    return apply(images, draw(strength, seed, index, images.shape[2]))


def draw(strength: float | Tensor, seed: int, index: Tensor, size: int) -> Changes:
    """The changes of the pictures `index`, whatever else is in their batch. `size`: pixels."""
    numbers = counter_random.uniform(seed, Kind.TRAINING_AUGMENT, index, len(MOVES) + len(COLOURS) + UNIFORM)
    normal = counter_random.normal(seed, Kind.TRAINING_AUGMENT, 1, index, NORMAL).double().unbind(1)
    once = 1 - (1 - torch.as_tensor(strength, dtype=torch.float64, device=index.device)).sqrt()  # of two rotations
    wanted = {
        name: chance < (once if "rotation" in name else strength)
        for name, chance in zip((*MOVES, *COLOURS), numbers.unbind(1), strict=False)
    }
    uniform = numbers[:, len(wanted) :].unbind(1)

    def angle(name: str, number: Tensor) -> Tensor:
        return torch.where(wanted[name], (2 * number - 1) * math.pi, 0.0)

    def factor(name: str, number: Tensor, deviation: float) -> Tensor:
        return torch.where(wanted[name], (number * deviation).exp(), 1.0)

    shares = torch.stack(uniform[2:4], 1) * 2 - 1
    shift = (shares * (LARGEST_SHIFT * size)).round().long()
    fraction = torch.stack(normal[2:4], 1) * (LARGEST_SHIFT * size)
    zoom, stretch = factor("zoom", normal[0], ZOOM), factor("stretch", normal[1], ZOOM)
    first, second = angle("rotation", uniform[4]), angle("second rotation", uniform[5])
    return Changes(
        mirrored=wanted["mirror"] & (uniform[0] < 0.5),
        turns=torch.where(wanted["turn"], (uniform[1] * 4).long(), 0),
        shift=torch.where(wanted["shift"][:, None], shift, 0),
        moved=wanted["zoom"] | wanted["rotation"] | wanted["stretch"] | wanted["second rotation"] | wanted["fraction"],
        back=way_back(zoom, first, stretch, second, torch.where(wanted["fraction"][:, None], fraction, 0.0)),
        coloured=torch.stack([wanted[name] for name in COLOURS]).any(0),
        colour=colour_change(
            torch.where(wanted["brightness"], normal[4] * BRIGHTNESS, 0.0),
            factor("contrast", normal[5], CONTRAST),
            wanted["luma"] & (uniform[6] < 0.5),
            angle("hue", uniform[7]),
            factor("saturation", normal[6], SATURATION),
        ),
    )


def way_back(zoom: Tensor, first: Tensor, stretch: Tensor, second: Tensor, offset: Tensor) -> Tensor:
    """[n, 2, 3] for pictures that are enlarged by `zoom`, turned by `first`, made `stretch` times wider and less high,
    turned by `second` and moved by `offset` [n, 2] pixels. Angles are in radians, clockwise as seen."""
    narrower = torch.diag_embed(torch.stack([1 / stretch, stretch], 1))
    linear = _rotation(-first) @ narrower @ _rotation(-second) / zoom[:, None, None]  # [n, 2, 2]
    return torch.cat([linear, -linear @ offset[:, :, None]], 2)


def _rotation(angle: Tensor) -> Tensor:
    """[n, 2, 2]."""
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)


def colour_change(brightness: Tensor, contrast: Tensor, flipped: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """[n, 3, 4]: `brightness` is added, `contrast` multiplies, and, with v the grey axis, a `flipped` picture is
    reflected at the plane across v, then turned around v by `hue`, and what is across v multiplied by `saturation`."""
    one = torch.eye(3, dtype=torch.float64, device=hue.device)
    along = torch.full_like(one, 1 / 3)  # v v^T
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64, device=hue.device) / math.sqrt(3)
    # What is across v turns (Rodrigues' formula) and is scaled, what is along it only changes its sign.
    turned = hue.cos()[:, None, None] * (one - along) + hue.sin()[:, None, None] * cross
    sign = torch.where(flipped, -1.0, 1.0)
    linear = contrast[:, None, None] * (sign[:, None, None] * along + saturation[:, None, None] * turned)
    grey = sign * contrast * brightness  # which is all that brightness is
    return torch.cat([linear, grey[:, None, None].expand(-1, 3, 1)], 2)


def apply(images: Tensor, changes: Changes) -> Tensor:
    """The pictures [n, 3, size, size] after their changes. Only those that change in a way are computed for it."""
    whole = changes.mirrored | (changes.turns != 0) | (changes.shift != 0).any(1)
    for those, change in ((whole, _rearranged), (changes.moved, _resampled), (changes.coloured, _recoloured)):
        rows = those.nonzero()[:, 0]
        if len(rows):
            images = images.index_copy(0, rows, change(images[rows], changes, rows))
    return images


def _rearranged(images: Tensor, changes: Changes, rows: Tensor) -> Tensor:
    """Mirrored, turned and shifted: every pixel is one of the picture's."""
    size = images.shape[2]
    along = torch.arange(size, device=images.device)
    right, down = changes.shift[rows].T[:, :, None, None]
    x, y = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        _reflected(along - right, size), _reflected(along[:, None] - down, size)
    )
    turns = changes.turns[rows, None, None]
    last = size - 1
    x, y = (  # where a turned picture shows what the picture has at ...
        torch.where(turns == 0, x, torch.where(turns == 1, last - y, torch.where(turns == 2, last - x, y))),
        torch.where(turns == 0, y, torch.where(turns == 1, x, torch.where(turns == 2, last - y, last - x))),
    )
    x = torch.where(changes.mirrored[rows, None, None], last - x, x)
    place = (y * size + x).flatten(1)[:, None].expand(-1, images.shape[1], -1)  # [n, 3, size * size]
    return images.flatten(2).gather(2, place).view_as(images)


def _resampled(images: Tensor, changes: Changes, rows: Tensor) -> Tensor:
    """Seen from other positions: enlarged twice, looked up linearly at twice the density, and made smaller again."""
    size = images.shape[2]
    up, down = _filters(size, images.dtype, images.device)
    fine = up @ images @ up.T  # [n, 3, 2 size, 2 size]
    margin = (down.shape[1] - 2 * size) // 2
    along = (torch.arange(-margin, 2 * size + margin, device=images.device) + 0.5) / 2 - size / 2
    y, x = torch.meshgrid(along.double(), along.double(), indexing="ij")
    positions = torch.stack([x, y, torch.ones_like(x)]).flatten(1)  # [3, places]
    seen = (changes.back[rows] @ positions + size / 2) * 2  # in the enlarged picture, from its upper left edge
    return down @ _look_up(fine, seen).view(len(rows), -1, down.shape[1], down.shape[1]) @ down.T


def _recoloured(images: Tensor, changes: Changes, rows: Tensor) -> Tensor:
    colour = changes.colour[rows].to(images.dtype)
    return (colour[:, :, :3] @ images.flatten(2) + colour[:, :, 3:]).view_as(images)


def _reflected(place: Tensor, size: int) -> Tensor:
    """Whole pixels, any, to those 0 ... size - 1 that a mirror at the picture's edge shows."""
    place = place % (2 * size)
    return torch.minimum(place, 2 * size - 1 - place)


@functools.lru_cache(maxsize=4)
def _filters(size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Lanczos filters along one side: to twice the size [2 size, size], with a mirror at the edge, and back from twice
    the size with a margin [size, 2 size + margins]."""
    place = (torch.arange(2 * size, dtype=torch.float64) + 0.5) / 2 - 0.5  # of the finer pixels among the others
    near = place.floor()[:, None] + torch.arange(1 - LOBES, 1 + LOBES)
    weights = _lanczos(place[:, None] - near)
    weights /= weights.sum(1, keepdim=True)
    up = torch.zeros(2 * size, size, dtype=torch.float64).scatter_add(1, _reflected(near.long(), size), weights)
    taps = _lanczos((torch.arange(4 * LOBES) + 0.5 - 2 * LOBES).double() / 2)
    row = torch.arange(size)[:, None]
    down = torch.zeros(size, 2 * size + 4 * LOBES - 2, dtype=torch.float64)
    down[row, 2 * row + torch.arange(4 * LOBES)] = taps / taps.sum()
    return up.to(device, dtype), down.to(device, dtype)


def _lanczos(distance: Tensor) -> Tensor:
    return torch.sinc(distance) * torch.sinc(distance / LOBES)


class _Linear(torch.autograd.Function):
    """x [n, channels, places] to [n, channels, others]: sums of places with weights [n, corners, others], or
    (`adjoint`) its transpose, from others to `places`."""

    @staticmethod
    def forward(x: Tensor, place: Tensor, weight: Tensor, places: int, adjoint: bool) -> Tensor:
        pairs = list(zip(place.unbind(1), weight[:, :, None].unbind(1), strict=True))
        shape = (-1, x.shape[1], -1)
        if not adjoint:
            return sum((x.gather(2, at[:, None].expand(shape)) * share for at, share in pairs), x.new_zeros(()))
        result = x.new_zeros(len(x), x.shape[1], places)
        for at, share in pairs:
            result.scatter_add_(2, at[:, None].expand(shape), x * share)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004
        _, place, weight, ctx.places, ctx.adjoint = inputs
        ctx.save_for_backward(place, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        place, weight = ctx.saved_tensors
        return _Linear.apply(gradient, place, weight, ctx.places, not ctx.adjoint), None, None, None, None


def _look_up(images: Tensor, seen: Tensor) -> Tensor:
    """[n, 3, places]: pictures [n, 3, size, size] at float64 [n, 2, places], (x, y) in pixels from their upper left
    edge, linearly between the centres of pixels, with a mirror at the edge."""
    size = images.shape[2]
    seen = seen % (2 * size)
    seen = (torch.minimum(seen, 2 * size - seen) - 0.5).clamp(0, size - 1)  # from the first centre
    before = seen.floor().clamp(max=size - 2)
    (x_after, y_after), (x, y) = (seen - before).unbind(1), before.long().unbind(1)
    corner = y * size + x
    place = torch.stack([corner, corner + 1, corner + size, corner + size + 1], 1)
    x_before, y_before = 1 - x_after, 1 - y_after
    weight = torch.stack([y_before * x_before, y_before * x_after, y_after * x_before, y_after * x_after], 1)
    found: Tensor = _Linear.apply(images.flatten(2), place, weight.to(images.dtype), size * size, False)
    return found


def next_strength(strength: Tensor, mean_sign: Tensor, target: float, images: int, kimg: float) -> Tensor:
    """The strength after `images` pictures: a step up where the discriminator is surer of real ones than `target`
    (mean sign of its logits), else one down; from 0 to 1 it takes `kimg` thousand pictures."""
    return (strength + torch.sign(mean_sign - target) * (images / (1000 * kimg))).clamp(0, 1)


@dataclass(frozen=True)
class Adaptive:
    """A strength, and what was seen since it last moved. Tensors without dimensions: nobody waits for a device."""

    strength: Tensor
    signs: Tensor  # sum of the batches' mean signs
    batches: int = 0

    @classmethod
    def start(cls, device: torch.device) -> Adaptive:
        """At strength 0."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def after(self, mean_sign: Tensor, images: int, target: float, kimg: float, every: int = EVERY) -> Adaptive:
        """After a batch of so many real pictures, whose logits have this mean sign."""
        signs, batches = self.signs + mean_sign, self.batches + 1
        if batches < every:
            return Adaptive(self.strength, signs, batches)
        strength = next_strength(self.strength, signs / batches, target, batches * images, kimg)
        return Adaptive(strength, torch.zeros_like(signs))
