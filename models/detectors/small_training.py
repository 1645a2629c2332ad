"""How the small detector learns: pictures with known things, cut and coloured by chance, and three losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from models.detectors.base import Floats
from models.detectors.example import CLASSES, Example
from models.detectors.small import GREY, SPREAD, STRIDE, SmallNetwork, boxes_of

HEIGHT, WIDTH = 160, 192  # pixels of the cuts it learns from
BATCH = 16
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
AVERAGE = 0.995  # decay of the weights' moving average
SETTLING = 24  # batches that the norms' statistics are taken of at the end
LEAST_CUT = 0.65  # of a picture's height
STRETCH = 1.18  # at most, of a cut's width against its height
CORE = 0.25  # of a box's sides, around its middle: there its class must be told; in the rest of it nothing need be
WHOLE, GONE = 0.75, 0.05  # visible shares of a box: a cut leaves every thing either whole or out


@dataclass(frozen=True)
class Targets:
    """What the maps [rows, columns] of one cut should say."""

    classes: Tensor  # [classes, rows, columns]: 1 in the core of a thing of the class
    counts: Tensor  # [rows, columns]: 0 where a class need neither be told nor denied
    boxes: Tensor  # [4, rows, columns] in pixels, where a class is 1
    mask: Tensor  # [rows, columns] in [0, 1]


Cuts = tuple[Tensor, list[Targets]]  # pixels [n, 3, HEIGHT, WIDTH], normalised, and what the maps of each should say


def train(examples: Sequence[Example], steps: int, seed: int, progress: Callable[[int, int], None]) -> SmallNetwork:
    """A network trained for so many steps of 16 cuts, in evaluation mode, with the average of its weights.

    One thread computes, so that the number of cores does not change the weights; another makes the next cuts.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = SmallNetwork().to(memory_format=torch.channels_last)
        _descend(network, _batches(examples, steps, seed), steps, progress)
        return _settled(network, _batches(examples, SETTLING, seed + 1))
    finally:
        torch.set_num_threads(threads)


def _descend(network: SmallNetwork, batches: Iterator[Cuts], steps: int, progress: Callable[[int, int], None]) -> None:
    """AdamW with a short warm-up and a cosine; the network ends with the moving average of its weights."""
    weights: list[Tensor] = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    network.train()
    for step, (images, wanted) in enumerate(batches):
        warm_up, cosine = min(1.0, (step + 1) / 30), 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm_up * cosine
        loss = loss_of(network(images), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - min(AVERAGE, (step + 1) / (step + 10)))
        progress(step + 1, steps)
    with torch.no_grad():
        torch._foreach_copy_(weights, average)


@torch.no_grad()
def _settled(network: SmallNetwork, batches: Iterator[Cuts]) -> SmallNetwork:
    """The norms' statistics belong to other weights than the averaged ones: take them anew."""
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # a plain mean over the batches
    for images, _ in batches:
        network(images)
    return network.eval()


def _batches(examples: Sequence[Example], count: int, seed: int) -> Iterator[Cuts]:
    """Batches of cuts, every example as often as any other; made in a thread, one batch ahead."""
    rng = np.random.default_rng(seed)
    order: list[int] = []

    def make() -> Cuts:
        while len(order) < BATCH:
            order.extend(rng.permutation(len(examples)).tolist())
        cuts = [cut(examples[order.pop(0)], rng) for _ in range(BATCH)]
        images = torch.stack([pixels for pixels, _ in cuts]).contiguous(memory_format=torch.channels_last)
        return images, [wanted for _, wanted in cuts]

    with ThreadPoolExecutor(1) as maker:
        following = maker.submit(make)
        for made in range(count):
            batch = following.result()
            if made + 1 < count:
                following = maker.submit(make)
            yield batch


def cut(example: Example, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    """A part of the picture [3, HEIGHT, WIDTH], mirrored by chance, in other colours, and its targets."""
    height, width = example.pixels.shape[:2]
    window = _window(example.boxes, WIDTH / HEIGHT * height / width, rng)
    left, top, right, bottom = (round(side * size) for side, size in zip(window, (width, height) * 2, strict=True))
    both = np.concatenate([example.pixels, example.mask], 2)[top:bottom, left:right]
    part = torch.from_numpy(np.ascontiguousarray(both)).permute(2, 0, 1)[None].float()
    part = functional.interpolate(part, (HEIGHT, WIDTH), mode="bilinear")[0]
    pixels, mask = part[:3], part[3] / 255
    shift, size = np.array([window[0], window[1]] * 2), np.array([window[2] - window[0], window[3] - window[1]] * 2)
    boxes = (np.asarray(example.boxes, np.float64).reshape(-1, 4) - shift) / size
    if rng.random() < 0.5:
        pixels, mask = pixels.flip(2), mask.flip(1)
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    gain = torch.from_numpy((rng.uniform(0.75, 1.3) * rng.uniform(0.92, 1.08, (3, 1, 1))).astype(np.float32))
    pixels = ((pixels - GREY) * gain + GREY + float(rng.uniform(-20, 20))).clamp(0, 255)
    return (pixels - GREY) / SPREAD, targets(example.labels, boxes.clip(0, 1), mask)


def _window(boxes: Floats, shape: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """A random part of the picture as fractions, about `shape` times as wide as tall (in fractions, too).

    It cuts no thing in two where that can be had in ten tries.
    """
    window = (0.0, 0.0, 1.0, 1.0)
    for _ in range(10):
        tall = float(rng.uniform(LEAST_CUT, 1))
        wide = min(1.0, tall * shape * STRETCH ** float(rng.uniform(-1, 1)))
        left, top = float(rng.uniform(0, 1 - wide)), float(rng.uniform(0, 1 - tall))
        window = (left, top, left + wide, top + tall)
        shares = [_share(box, window) for box in boxes.tolist()]
        if all(share >= WHOLE or share <= GONE for share in shares):
            break
    return window


def _share(box: Sequence[float], window: Sequence[float]) -> float:
    wide = max(0.0, min(box[2], window[2]) - max(box[0], window[0]))
    tall = max(0.0, min(box[3], window[3]) - max(box[1], window[1]))
    return wide * tall / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9)


def targets(labels: Sequence[int], boxes: np.ndarray, mask: Tensor) -> Targets:
    """Targets from boxes [n, 4] in fractions of the cut and the mask [HEIGHT, WIDTH] of its things."""
    rows, columns = HEIGHT // STRIDE, WIDTH // STRIDE
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    classes, counts = torch.zeros(len(CLASSES), rows, columns), torch.ones(rows, columns)
    sides = torch.zeros(4, rows, columns)
    for label, box in zip(labels, boxes.tolist(), strict=True):
        left, top, right, bottom = (side * size for side, size in zip(box, (columns, rows) * 2, strict=True))
        if (right - left) * (bottom - top) < 1:
            continue
        counts[(x > left) & (x < right) & (y > top) & (y < bottom)] = 0
        reach_x, reach_y = max(CORE * (right - left) / 2, 0.51), max(CORE * (bottom - top) / 2, 0.51)
        core = ((x - (left + right) / 2).abs() <= reach_x) & ((y - (top + bottom) / 2).abs() <= reach_y)
        classes[:, core] = 0  # a nearer thing hides the farther
        classes[label, core] = 1
        sides[:, core] = torch.tensor([left, top, right, bottom])[:, None]
    counts[classes.sum(0) > 0] = 1
    return Targets(classes, counts, sides * STRIDE, functional.avg_pool2d(mask[None, None], STRIDE)[0, 0])


def loss_of(maps: Tensor, wanted: Sequence[Targets]) -> Tensor:
    """Cross-entropy of middles, classes and insides, generalised IoU of boxes; each over the number of its cells."""
    count = len(CLASSES)
    classes, counts = torch.stack([one.classes for one in wanted]), torch.stack([one.counts for one in wanted])
    inside, middle = torch.stack([one.mask for one in wanted]), classes.sum(1)
    entropy = functional.binary_cross_entropy_with_logits
    middles = (entropy(maps[:, count], middle, reduction="none") * counts).sum() / middle.sum().clamp(min=1)
    insides = entropy(maps[:, -1], inside, reduction="sum") / inside.sum().clamp(min=1)
    picture, row, column = torch.nonzero(middle, as_tuple=True)
    if not len(picture):
        return middles + 0.5 * insides
    kinds = functional.cross_entropy(maps[picture, :count, row, column], classes.argmax(1)[picture, row, column])
    boxes = boxes_of(maps[picture, count + 1 : count + 5, row, column], row, column)
    true = torch.stack([one.boxes for one in wanted])[picture, :, row, column]
    overlap: Tensor = ops.generalized_box_iou_loss(boxes, true, reduction="mean")
    return middles + 0.5 * insides + 0.5 * kinds + overlap
