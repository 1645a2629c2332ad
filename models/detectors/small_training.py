"""How the small detector learns: pictures with known things, cut and coloured by chance, and three losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from models.detectors.base import Floats
from models.detectors.example import CLASSES, Example
from models.detectors.small import GREY, SPREAD, STRIDE, SmallNetwork, boxes_of

HEIGHT, WIDTH = 192, 256  # pixels of the cuts it learns from
BATCH = 16
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
AVERAGE = 0.995  # decay of the weights' moving average
LEAST_CUT = 0.6  # of a picture's sides
WHOLE, GONE = 0.75, 0.05  # visible shares of a box: a cut leaves every thing either whole or out


@dataclass(frozen=True)
class Targets:
    """What the maps [rows, columns] of one cut should say."""

    heat: Tensor  # [classes, rows, columns] in [0, 1]
    boxes: Tensor  # [4, rows, columns] in pixels
    near: Tensor  # [rows, columns]: where the boxes count
    mask: Tensor  # [rows, columns] in [0, 1]


def train(examples: Sequence[Example], steps: int, seed: int, progress: Callable[[int, int], None]) -> SmallNetwork:
    """A network trained for so many steps of 16 cuts, in evaluation mode, with the average of its weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = SmallNetwork().to(memory_format=torch.channels_last)
    weights: list[Tensor] = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    network.train()
    order: list[int] = []
    for step in range(steps):
        warm_up, cosine = min(1.0, (step + 1) / 30), 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm_up * cosine
        if len(order) < BATCH:
            order = rng.permutation(len(examples)).tolist()
        cuts = [cut(examples[order.pop()], rng) for _ in range(min(BATCH, len(examples)))]
        images = torch.stack([pixels for pixels, _ in cuts]).contiguous(memory_format=torch.channels_last)
        loss = loss_of(network(images), [targets for _, targets in cuts])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - min(AVERAGE, (step + 1) / (step + 10)))
        progress(step + 1, steps)
    with torch.no_grad():
        torch._foreach_copy_(weights, average)
    return _settled(network, examples, rng)


@torch.no_grad()
def _settled(network: SmallNetwork, examples: Sequence[Example], rng: np.random.Generator) -> SmallNetwork:
    """The norms' statistics belong to other weights than the averaged ones: take them anew."""
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    for _ in range(20):
        chosen = rng.integers(len(examples), size=BATCH).tolist()
        network(torch.stack([cut(examples[at], rng)[0] for at in chosen]))
    return network.eval()


def cut(example: Example, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    """A part of the picture [3, HEIGHT, WIDTH], mirrored by chance, in other colours, and its targets."""
    height, width = example.pixels.shape[:2]
    window = _window(example.boxes, rng)
    left, top, right, bottom = (round(side * size) for side, size in zip(window, (width, height) * 2, strict=True))
    both = np.concatenate([example.pixels, example.mask], 2)[top:bottom, left:right]
    part = torch.from_numpy(np.ascontiguousarray(both)).permute(2, 0, 1)[None].float()
    part = functional.interpolate(part, (HEIGHT, WIDTH), mode="bilinear", antialias=True)[0]
    pixels, mask = part[:3], part[3] / 255
    shift, size = np.array([window[0], window[1]] * 2), np.array([window[2] - window[0], window[3] - window[1]] * 2)
    boxes = (np.asarray(example.boxes, np.float64).reshape(-1, 4) - shift) / size
    if rng.random() < 0.5:
        pixels, mask = pixels.flip(2), mask.flip(1)
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    gain = torch.from_numpy((rng.uniform(0.75, 1.3) * rng.uniform(0.92, 1.08, (3, 1, 1))).astype(np.float32))
    pixels = ((pixels - GREY) * gain + GREY + float(rng.uniform(-20, 20))).clamp(0, 255)
    return (pixels - GREY) / SPREAD, targets(example.labels, boxes.clip(0, 1), mask)


def _window(boxes: Floats, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random part of the picture as fractions, which cuts no thing in two where that can be had in ten tries."""
    for _ in range(10):
        wide, tall = rng.uniform(LEAST_CUT, 1, 2).tolist()
        left, top = float(rng.uniform(0, 1 - wide)), float(rng.uniform(0, 1 - tall))
        window = (left, top, left + wide, top + tall)
        shares = [_share(box, window) for box in boxes.tolist()]
        if all(share >= WHOLE or share <= GONE for share in shares):
            return window
    return 0.0, 0.0, 1.0, 1.0


def _share(box: Sequence[float], window: Sequence[float]) -> float:
    wide = max(0.0, min(box[2], window[2]) - max(box[0], window[0]))
    tall = max(0.0, min(box[3], window[3]) - max(box[1], window[1]))
    return wide * tall / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9)


def targets(labels: Sequence[int], boxes: np.ndarray, mask: Tensor) -> Targets:
    """Targets from boxes [n, 4] in fractions of the cut and the mask [HEIGHT, WIDTH] of its things."""
    rows, columns = HEIGHT // STRIDE, WIDTH // STRIDE
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    heat, near = torch.zeros(len(CLASSES), rows, columns), torch.zeros(rows, columns)
    distances = torch.ones(4, rows, columns)
    for label, (left, top, right, bottom) in zip(labels, boxes.tolist(), strict=True):
        wide, tall = (right - left) * columns, (bottom - top) * rows  # in cells
        if wide * tall < 1:
            continue
        middle_x, middle_y = (left + right) / 2 * columns, (top + bottom) / 2 * rows
        middle_x, middle_y = math.floor(middle_x) + 0.5, math.floor(middle_y) + 0.5
        hill = torch.exp(-(((x - middle_x) / max(wide / 6, 0.6)) ** 2 + ((y - middle_y) / max(tall / 6, 0.6)) ** 2) / 2)
        heat[label] = torch.maximum(heat[label], hill)
        mine = hill > near.clamp(min=0.5)
        near = torch.where(mine, hill, near)
        sides = torch.tensor([left * columns, top * rows, right * columns, bottom * rows])
        distances = torch.where(mine, sides[:, None, None].expand_as(distances), distances)
    small = functional.avg_pool2d(mask[None, None], STRIDE)[0, 0]
    return Targets(heat, distances * STRIDE, near, small)


def loss_of(maps: Tensor, wanted: Sequence[Targets]) -> Tensor:
    """Focal loss of the centres (Law and Deng 2018, eq. 1), generalised IoU of the boxes, cross-entropy of the mask."""
    count = len(CLASSES)
    heat = torch.stack([one.heat for one in wanted])
    near = torch.stack([one.near for one in wanted])
    chance = maps[:, :count].sigmoid().clamp(1e-4, 1 - 1e-4)
    at = heat == 1
    centres = torch.where(
        at, (1 - chance) ** 2 * -chance.log(), (1 - heat) ** 4 * chance**2 * -(1 - chance).log()
    ).sum() / at.sum().clamp(min=1)
    picture, row, column = torch.nonzero(near, as_tuple=True)
    boxes = boxes_of(maps[picture, count : count + 4, row, column], row, column)
    true = torch.stack([one.boxes for one in wanted])[picture, :, row, column]
    weight = near[picture, row, column]
    overlap = (ops.generalized_box_iou_loss(boxes, true) * weight).sum() / weight.sum().clamp(min=1)
    mask: Tensor = functional.binary_cross_entropy_with_logits(maps[:, -1], torch.stack([one.mask for one in wanted]))
    loss: Tensor = centres + 1.5 * overlap + 3 * mask
    return loss
