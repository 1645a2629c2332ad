"""Curves of a run are true to its metrics, and few points however long it is."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from benchmarks import metrics
from lhq_toolkit import run_curves


def write(run, lines) -> None:
    with (run / metrics.FILE).open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_a_short_run_is_drawn_step_by_step(tmp_path):
    lines = [
        {"step": step, "generator_loss": step / 10, **({"r1": 5.0} if step % 4 == 1 else {})} for step in (1, 2, 3)
    ]
    write(tmp_path, [{"step": 0, "images": 0, "fd": 9.0}, *lines, {"step": 3, "images": 12, "fd": 4.0}])
    curves = run_curves.gather(tmp_path, 3, batch=4)
    found = [(point.images, point.value) for point in curves.losses["generator_loss"]]
    assert found == [(4, 0.1), (8, 0.2), (12, pytest.approx(0.3))]
    assert [(point.images, point.value) for point in curves.losses["r1"]] == [(4, 5.0)]
    assert [line["fd"] for line in curves.measured] == [9.0, 4.0]


def test_a_hundred_thousand_steps_become_a_few_hundred_points_that_mean_the_same(tmp_path):
    values = np.random.default_rng(0).normal(size=100_000).round(6) + np.linspace(0, 5, 100_000)
    write(tmp_path, ({"step": at + 1, "generator_loss": float(value)} for at, value in enumerate(values)))
    points = run_curves.gather(tmp_path, 100_000, batch=2).losses["generator_loss"]
    assert len(points) == run_curves.BINS
    edges = [math.ceil(at * 100_000 / run_curves.BINS) for at in range(run_curves.BINS + 1)]
    for at in (0, 100, run_curves.BINS - 1):
        part = values[edges[at] : edges[at + 1]]
        assert points[at].value == pytest.approx(part.mean(), rel=1e-9)
        assert (points[at].low, points[at].high) == (part.min(), part.max())
        assert points[at].images == pytest.approx(edges[at] + edges[at + 1] + 1)  # twice the middle step
    (chart,) = run_curves.charts(run_curves.gather(tmp_path, 100_000, batch=2))
    assert len(chart.drawing.svg()) < 30_000


def test_points_stand_where_their_numbers_say(tmp_path):
    points = [run_curves.Point(images, value, value, value) for images, value in ((0, 0.0), (50, 10.0), (100, 5.0))]
    chart = run_curves.chart("fd", "fd", {"fd": points}, 100, marked=True)
    (line,) = re.findall(r'<polyline points="([^"]*)"', chart.drawing.svg())
    (x0, y0), (x1, y1), (x2, y2) = (map(float, place.split(",")) for place in line.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.02)
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.02)
    assert y1 < y0  # the larger stands higher
    assert "after 50 images: 10" in chart.drawing.svg()


def test_what_spans_much_is_logarithmic_and_what_is_no_number_is_passed_over(tmp_path):
    lines = [{"step": step, "r1": 10.0**step, "path_length": math.nan, "new_loss": -1.0} for step in (1, 2, 3)]
    write(tmp_path, [*lines, {"step": 3, "images": 6, "fd": math.nan}])
    charts = {chart.drawing.name: chart for chart in run_curves.charts(run_curves.gather(tmp_path, 3, batch=2))}
    assert {name: chart.logarithmic for name, chart in charts.items()} == {"r1": True, "new_loss": False}
    (line,) = re.findall(r'<polyline points="([^"]*)"', charts["r1"].drawing.svg())
    heights = [float(place.split(",")[1]) for place in line.split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.02)
    assert run_curves.charts(run_curves.Curves({}, [], 0)) == []


def test_curves_are_drawn_as_png_too(tmp_path):
    points = [run_curves.Point(images, value, value, value) for images, value in ((0, 0.0), (100, 1.0))]
    drawn = run_curves.chart("a", "a", {"a": points, "b": points[::-1]}, 100)
    assert drawn.legend == [("accent", "a"), ("rejected", "b")]
    assert drawn.drawing.png().startswith(b"\x89PNG")
