"""Figures say what they are given: bars as long as their counts, bins that hold every value, round ticks."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lhq_toolkit.report import figures
from lhq_toolkit.report.drawing import LIGHT, SCALE, Rect
from lhq_toolkit.report.figures import Step


def boxes(drawing, role):
    return [shape for shape in drawing.shapes if isinstance(shape, Rect) and shape.role == role]


def test_bars_of_the_funnel_are_as_long_as_their_counts():
    drawing = figures.funnel([Step("listed", 200), Step("tags", 120, 60, 8, 12), Step("subset s", 120)])
    whole = boxes(drawing, "kept")[0].width
    for role, count in (("rejected", 60), ("error", 8), ("pending", 12)):
        assert [one.width for one in boxes(drawing, role)] == [pytest.approx(whole * count / 200)]
    assert boxes(drawing, "kept")[1].width == pytest.approx(whole * 120 / 200)
    assert "tags: 120 of 200 kept, 60 rejected, 8 errors, 12 pending" in drawing.description


values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


@given(values, st.floats(-1e6, 1e6, width=32) | st.none())
def test_every_value_stands_in_a_bin_on_its_side(numbers, threshold):
    array = np.array(numbers, float)
    kept = array < (np.median(array) if threshold is None else threshold)
    drawing = figures.distribution("d", "Values", array, kept, threshold, ("kept", "rejected"))
    heights = {role: sum(one.height for one in boxes(drawing, role)) for role in ("kept", "rejected")}
    assert heights["kept"] / sum(heights.values()) == pytest.approx(kept.mean())
    for box in (*boxes(drawing, "kept"), *boxes(drawing, "rejected")):
        assert -1 <= box.x <= drawing.width
        assert box.y >= 0


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low, span):
    found = figures.ticks(low, low + span)
    assert 2 <= len(found) <= 12
    assert all(low - span * 1e-6 <= one <= low + span * (1 + 1e-6) for one in found)


def test_a_drawing_is_the_same_as_svg_and_as_png():
    drawing = figures.bars("tags", "Tags", [("<sky> & 'sea'", 3, 4), ("x" * 60, 0, 2)], ("inside", "in all"))
    root = ElementTree.fromstring(drawing.svg(alone=True))
    texts = [one.text for one in root.iter() if one.tag.endswith("text")]
    assert "<sky> & 'sea'" in texts
    assert any(one.endswith("\u2026") for one in texts)
    assert "<sky> & 'sea': 3 of 4" in root.attrib["aria-label"]
    with Image.open(io.BytesIO(drawing.png())) as image:
        assert image.size == (round(drawing.width * SCALE), round(drawing.height * SCALE))
        box = boxes(drawing, "kept")[0]
        middle = (round((box.x + box.width / 2) * SCALE), round((box.y + box.height / 2) * SCALE))
        assert "#{:02x}{:02x}{:02x}".format(*image.getpixel(middle)) == LIGHT["kept"]
