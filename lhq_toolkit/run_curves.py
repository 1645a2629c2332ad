"""Curves of a run: its metrics, however many lines they have, as a few hundred points, and these as figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import metrics
from lhq_toolkit.report.drawing import Area, Curve, Drawing, Line, Rect, Role, Shape, Text
from lhq_toolkit.report.figures import ticks

BINS = 240  # of steps, over the run so far
WIDTH, HEIGHT = 440.0, 190.0  # pixels of a drawing
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 8.0, 24.0  # around the plot
LOGARITHMIC = 50.0  # the largest over the smallest value from which on the scale is

ROLES: tuple[Role, ...] = ("accent", "rejected", "kept", "error")
TOGETHER = {
    "losses": ("Losses", ("generator_loss", "discriminator_loss")),
    "logits": ("What the discriminator says, on the mean", ("real_logit", "fake_logit")),
    "r1": ("R1: squared gradients at real pictures", ("r1",)),
    "path_length": ("Path length", ("path_length",)),
    "path_penalty": ("Path-length penalty", ("path_penalty",)),
}
WORDS = {
    "generator_loss": "generator",
    "discriminator_loss": "discriminator",
    "real_logit": "real pictures",
    "fake_logit": "fakes",
}


@dataclass(frozen=True)
class Point:
    """Where a curve passes; low and high are those of what is summed up in it."""

    images: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curves:
    """Points by the name of what was written, and the lines of what was measured."""

    losses: dict[str, list[Point]]
    measured: list[dict[str, float]]
    images: int  # shown so far


@dataclass(frozen=True)
class Chart:
    """A drawing and what its colours mean; none for one curve alone."""

    drawing: Drawing
    legend: list[tuple[Role, str]]
    logarithmic: bool


@dataclass
class _Bin:
    count: int = 0
    steps: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf


@dataclass
class _Binned:
    """One series while it is read."""

    bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(BINS)])

    def add(self, at: int, step: int, value: float) -> None:
        one = self.bins[at]
        one.count += 1
        one.steps += step
        one.total += value
        one.low, one.high = min(one.low, value), max(one.high, value)


def gather(run: Path, steps: int, batch: int) -> Curves:
    """Read metrics.jsonl once; what is kept does not grow with it. steps: made so far."""
    binned: dict[str, _Binned] = defaultdict(_Binned)
    measured = []
    for line in metrics.stream(run):
        step = line["step"]
        if "images" in line:
            measured.append(line)
            continue
        at = min(BINS - 1, max(0, step - 1) * BINS // max(1, steps))
        for name, value in line.items():
            if name != "step" and math.isfinite(value):
                binned[name].add(at, step, value)
    return Curves({name: _points(one, batch) for name, one in binned.items()}, measured, steps * batch)


def _points(binned: _Binned, batch: int) -> list[Point]:
    return [
        Point(batch * one.steps / one.count, one.total / one.count, one.low, one.high)
        for one in binned.bins
        if one.count
    ]


def charts(curves: Curves) -> list[Chart]:
    """Distances first, then the losses: those that belong together in one chart, any other in one of its own."""
    drawn = []
    names = [name for line in curves.measured for name in line if name not in ("step", "images")]
    distances = {name: _measured(curves, name) for name in dict.fromkeys(names)}
    if distances := {name: points for name, points in distances.items() if points}:
        title = "Distance to the pictures, lower is better"
        drawn.append(chart("distances", title, distances, curves.images, marked=True))
    left = dict(curves.losses)
    for name, (title, members) in TOGETHER.items():
        if some := {WORDS.get(one, one): left.pop(one) for one in members if one in left}:
            drawn.append(chart(name, title, some, curves.images))
    return drawn + [chart(name, name, {name: points}, curves.images) for name, points in left.items()]


def _measured(curves: Curves, name: str) -> list[Point]:
    told = [(line["images"], line[name]) for line in curves.measured if math.isfinite(line.get(name, math.nan))]
    return [Point(images, value, value, value) for images, value in told]


def chart(name: str, title: str, series: dict[str, list[Point]], images: int, *, marked: bool = False) -> Chart:
    """Curves over images, from 0 to `images`. One alone has a band from the lowest to the highest that a point sums up.

    The band's outermost twentieths may lie beyond the drawing. `marked`: each point is marked. The scale is
    logarithmic where values span much.
    """
    every = [point for points in series.values() for point in points]
    low, high = min(point.value for point in every), max(point.value for point in every)
    banded = len(series) == 1 and not marked
    if banded:
        low = min(low, sorted(point.low for point in every)[len(every) // 20])
        high = max(high, sorted(point.high for point in every)[-1 - len(every) // 20])
    logarithmic = low > 0 and high > LOGARITHMIC * low
    bounds = _widened(*(math.log10(one) if logarithmic else one for one in (low, high)))
    plot = _Plot(bounds, max(1, images), logarithmic)
    shapes: list[Shape] = plot.axes()
    coloured = list(zip(ROLES, series.items(), strict=False))
    if banded:
        (points,) = series.values()
        upper = [plot.at(point.images, point.high) for point in points]
        lower = [plot.at(point.images, point.low) for point in points]
        shapes.append(Area([*upper, *reversed(lower)], "flow"))
    for role, (_, points) in coloured:
        places = [plot.at(point.images, point.value) for point in points]
        if len(places) > 1:
            shapes.append(Curve(places, role))
        if marked or len(places) == 1:
            for (x, y), point in zip(places, points, strict=True):
                about = f"after {point.images:,.0f} images: {number(point.value)}"
                shapes.append(Rect(x - 2.5, y - 2.5, 5, 5, role, about))
    said = "; ".join(
        f"{word}: from {number(points[0].value)} to {number(points[-1].value)}" for word, points in series.items()
    )
    legend = [(role, word) for role, (word, _) in coloured] if len(series) > 1 else []
    return Chart(Drawing(name, title, said, WIDTH, HEIGHT, shapes), legend, logarithmic)


@dataclass(frozen=True)
class _Plot:
    """Where a value stands in the drawing. bounds: of the values, their logarithms where `logarithmic`."""

    bounds: tuple[float, float]
    images: int  # at the right end
    logarithmic: bool

    def at(self, images: float, value: float) -> tuple[float, float]:
        low, high = self.bounds
        if self.logarithmic:
            value = math.log10(value) if value > 0 else low
        share = (min(max(value, low), high) - low) / (high - low)
        x = LEFT + (WIDTH - LEFT - RIGHT) * images / self.images
        return x, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def axes(self) -> list[Shape]:
        shapes: list[Shape] = []
        for value in self._values():
            _, y = self.at(0, value)
            shapes.append(Line(LEFT, y, WIDTH - RIGHT, y, "grid"))
            shapes.append(Text(LEFT - 5, y + 3.5, number(value), role="faint", size=10, anchor="end"))
        base = HEIGHT - BOTTOM
        shapes.append(Line(LEFT, base, WIDTH - RIGHT, base, "faint"))
        for images in ticks(0, self.images):
            x, _ = self.at(images, 1)
            shapes.append(Line(x, base, x, base + 4, "faint"))
            place = min(x, WIDTH - RIGHT - 8)
            shapes.append(Text(place, base + 16, thousands(images), role="faint", size=10, anchor="middle"))
        return shapes

    def _values(self) -> Sequence[float]:
        low, high = self.bounds
        if not self.logarithmic:
            return ticks(low, high)
        powers = range(math.ceil(low), math.floor(high) + 1)
        return [10.0**power for power in powers] if len(powers) > 1 else [10.0**one for one in (low, high)]


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def number(value: float) -> str:
    """Short, as it stands beside an axis or in a table."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def thousands(count: float) -> str:
    """400k, 2.5M."""
    if count >= 1e6:
        return f"{count / 1e6:g}M"
    return f"{count / 1e3:g}k" if count >= 1e3 else f"{count:g}"
