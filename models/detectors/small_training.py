"""How the small detector learns: pictures with known things, cut and coloured by chance, and three losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from models.detectors.base import Floats
from models.detectors.example import CLASSES, Example
from models.detectors.small import GREY, SCALE, SPREAD, STRIDE, SmallNetwork, boxes_of

HEIGHT, WIDTH = 160, 192  # pixels of the cuts it learns from
BATCH = 16  # cuts
HALVES = 2  # of a batch, computed side by side; each has norms of its own
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
AVERAGE = 0.995  # decay of the weights' moving average
SETTLING = 24  # batches that the norms' statistics are taken of at the end
ENLARGED = (0.85, 1.2)  # against the detector's scale: things must have the sizes that it will meet
STRETCH = 1.06  # at most, of a cut's sides against each other, each way
PADDED = (0.4, 0.2)  # share of cuts that end before the right, the lower end of what the network sees
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

    Two threads compute, half a batch each, so that the number of cores does not change the weights; a third makes the
    next cuts.
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


def _descend(
    network: SmallNetwork, batches: Iterator[list[Cuts]], steps: int, progress: Callable[[int, int], None]
) -> None:
    """AdamW with a short warm-up and a cosine; the network ends with the moving average of its weights."""
    weights: list[Tensor] = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    network.train()

    with ThreadPoolExecutor(HALVES) as pool:
        for step, halves in enumerate(batches):
            warm_up, cosine = min(1.0, (step + 1) / 30), 0.5 + 0.5 * math.cos(math.pi * step / steps)
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm_up * cosine
            for weight, *parts in zip(weights, *_gradients(network, weights, halves, pool), strict=True):
                weight.grad = sum(parts[1:], parts[0])
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, weights, 1 - min(AVERAGE, (step + 1) / (step + 10)))
            progress(step + 1, steps)
    with torch.no_grad():
        torch._foreach_copy_(weights, average)


def _gradients(
    network: SmallNetwork, weights: Sequence[Tensor], halves: Sequence[Cuts], pool: ThreadPoolExecutor
) -> Iterator[tuple[Tensor, ...]]:
    """Of the halves of a batch, whose sum is that of the batch."""
    cells = sum(float(one.classes.sum()) for _, wanted in halves for one in wanted)
    area = sum(float(one.mask.sum()) for _, wanted in halves for one in wanted)

    def gradients(cuts: Cuts) -> tuple[Tensor, ...]:
        images, wanted = cuts
        return torch.autograd.grad(loss_of(network(images), wanted, cells, area), weights)

    return pool.map(gradients, halves)


@torch.no_grad()
def _settled(network: SmallNetwork, batches: Iterator[list[Cuts]]) -> SmallNetwork:
    """The norms' statistics belong to other weights than the averaged ones: take them anew."""
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # a plain mean over the batches
    for halves in batches:
        for images, _ in halves:
            network(images)
    return network.eval()


def _batches(examples: Sequence[Example], count: int, seed: int) -> Iterator[list[Cuts]]:
    """Batches of cuts in halves, every example as often as any other; made in a thread, one batch ahead."""
    rng = np.random.default_rng(seed)
    order: list[int] = []

    def half() -> Cuts:
        cuts = [cut(examples[order.pop(0)], rng) for _ in range(BATCH // HALVES)]
        images = torch.stack([pixels for pixels, _ in cuts]).contiguous(memory_format=torch.channels_last)
        return images, [wanted for _, wanted in cuts]

    def make() -> list[Cuts]:
        while len(order) < BATCH:
            order.extend(rng.permutation(len(examples)).tolist())
        return [half() for _ in range(HALVES)]

    with ThreadPoolExecutor(1) as maker:
        following = maker.submit(make)
        for made in range(count):
            batch = following.result()
            if made + 1 < count:
                following = maker.submit(make)
            yield batch


def cut(example: Example, rng: np.random.Generator) -> tuple[Tensor, Targets]:
    """A part of the picture at about the detector's scale, mirrored by chance, in other colours; and its targets.

    Pixels [3, HEIGHT, WIDTH]. What the part does not fill is zero below it and to its right, as in a padded frame.
    """
    height, width = example.pixels.shape[:2]
    scale = SCALE.short / min(height, width) * float(rng.uniform(*ENLARGED))
    wider = STRETCH ** float(rng.uniform(-1, 1))
    size = np.array([width * scale * wider, height * scale / wider])  # of the whole picture, in pixels of the cut
    padding = rng.integers(0, SCALE.step, 2) * (rng.random(2) < PADDED)
    window = _window(example.boxes, np.minimum(1, (np.array([WIDTH, HEIGHT]) - padding) / size), rng)
    left, top, right, bottom = (round(side * of) for side, of in zip(window, (width, height) * 2, strict=True))
    both = np.concatenate([example.pixels, example.mask], 2)[top:bottom, left:right]
    part = torch.from_numpy(np.ascontiguousarray(both)).permute(2, 0, 1)[None].float()
    columns, rows = (np.array([window[2] - window[0], window[3] - window[1]]) * size).round().astype(int).tolist()
    part = functional.interpolate(part, (rows, columns), mode="bilinear")[0]
    pixels, mask = part[:3], part[3] / 255
    shift, share = np.array([window[0], window[1]] * 2), np.array([window[2] - window[0], window[3] - window[1]] * 2)
    boxes = ((np.asarray(example.boxes, np.float64).reshape(-1, 4) - shift) / share).clip(0, 1)
    if rng.random() < 0.5:
        pixels, mask = pixels.flip(2), mask.flip(1)
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    gain = torch.from_numpy((rng.uniform(0.85, 1.18) * rng.uniform(0.95, 1.05, (3, 1, 1))).astype(np.float32))
    pixels = ((pixels - GREY) * gain + GREY + float(rng.uniform(-12, 12))).clamp(0, 255)
    pixels, mask = (
        functional.pad(one, (0, WIDTH - columns, 0, HEIGHT - rows)) for one in ((pixels - GREY) / SPREAD, mask)
    )
    return pixels, targets(example.labels, boxes * np.array([columns / WIDTH, rows / HEIGHT] * 2), mask)


def _window(
    boxes: Floats, size: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A random part of the picture of this width and height, in fractions of its sides.

    It cuts no thing in two where that can be had in ten tries.
    """
    window = (0.0, 0.0, 1.0, 1.0)
    for _ in range(10):
        left, top = (rng.random(2) * (1 - size)).tolist()
        window = (left, top, min(1.0, left + float(size[0])), min(1.0, top + float(size[1])))
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


def loss_of(maps: Tensor, wanted: Sequence[Targets], cells: float, area: float) -> Tensor:
    """Cross-entropy of middles, classes and insides, generalised IoU of boxes.

    Each is a sum over `cells`, the number of middles, that of insides over `area`: those of the whole batch, of which
    the half has its share. Over its own few the loss of a half would leap from step to step.
    """
    count = len(CLASSES)
    classes, counts = torch.stack([one.classes for one in wanted]), torch.stack([one.counts for one in wanted])
    inside, middle = torch.stack([one.mask for one in wanted]), classes.sum(1)
    entropy = functional.binary_cross_entropy_with_logits
    middles = (entropy(maps[:, count], middle, reduction="none") * counts).sum()
    insides = entropy(maps[:, -1], inside, reduction="sum")
    picture, row, column = torch.nonzero(middle, as_tuple=True)
    labels = classes[picture, :, row, column].argmax(1)
    kinds = functional.cross_entropy(maps[picture, :count, row, column], labels, reduction="sum")
    boxes = boxes_of(maps[picture, count + 1 : count + 5, row, column], row, column)
    true = torch.stack([one.boxes for one in wanted])[picture, :, row, column]
    overlap: Tensor = ops.generalized_box_iou_loss(boxes, true, reduction="sum")
    return (middles + 0.5 * kinds + overlap) / max(cells, 1.0) + 0.5 * insides / max(area, 1.0)
