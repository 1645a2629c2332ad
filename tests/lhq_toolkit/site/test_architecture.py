"""The diagram shows exactly the imports that there are, read here from the sources in another way."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from pages import ROOT

from lhq_toolkit.site import architecture
from lhq_toolkit.site.architecture import LAYERS, PACKAGES

Point = tuple[float, float]


class Drawing(HTMLParser):
    """The arrows of an SVG, with where each begins and ends, and its boxes: left, top, right, bottom."""

    def __init__(self, svg: str) -> None:
        super().__init__()
        self.arrows: dict[tuple[str, str], tuple[Point, Point]] = {}
        self.frames: list[tuple[float, float, float, float]] = []
        self.feed(svg)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("class") == "import":
            self.arrows[given["data-user"], given["data-used"]] = ends(given["d"])
        if tag == "rect":
            left, top, width, height = (float(given[name]) for name in ("x", "y", "width", "height"))
            self.frames.append((left, top, left + width, top + height))


def ends(line: str) -> tuple[Point, Point]:
    """Where a path of one straight piece begins and ends."""
    found = re.fullmatch(r"M([\d.]+) ([\d.]+)(?:L([\d.]+) ([\d.]+)|H([\d.]+)|V([\d.]+))", line)
    assert found, line
    x, y, to_x, to_y, across, down = (None if one is None else float(one) for one in found.groups())
    assert x is not None
    assert y is not None
    return (x, y), (to_x or across or x, to_y or down or y)


def imports() -> Iterator[tuple[str, str]]:
    """Every module of ours, and each of ours that a line of it imports."""
    ours = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }
    for module in ours:
        path = ROOT / module.replace(".", "/")
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from ((module, one.name) for one in node.names if one.name in ours)
            if isinstance(node, ast.ImportFrom) and node.module in ours:
                for one in node.names:
                    inner = f"{node.module}.{one.name}"
                    yield module, inner if inner in ours else node.module


def part(module: str) -> str:
    """The folder of a package in which a module lies, or the package."""
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return f"{package}.{first}" if first and (ROOT / package / first).is_dir() else package


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return Drawing(architecture.diagram())


def test_the_arrows_are_exactly_the_imports_between_packages(drawing):
    users = defaultdict(set)
    for module, other in imports():
        ours, theirs = module.partition(".")[0], other.partition(".")[0]
        if ours != theirs:
            users[ours, theirs].add(part(module))
    expected = {(min(found) if len(found) == 1 else ours, theirs) for (ours, theirs), found in users.items()}
    assert set(drawing.arrows) == expected
    assert len(expected) >= len(PACKAGES)


def test_every_part_is_drawn_and_the_table_tells_what_it_imports(drawing):
    uses = defaultdict(set)
    for module, other in imports():
        uses[part(module)] |= {part(other)} - {part(module)}
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \| (.+) \|$", architecture.parts_table(), re.M)
    folders = {
        f"{path.parent.parent.name}.{path.parent.name}"
        for one in PACKAGES
        for path in ROOT.glob(f"{one}/*/__init__.py")
    }
    assert {name for name, _, _ in rows} == {*PACKAGES, *folders}
    assert len(drawing.frames) == len(rows)
    for name, purpose, imported in rows:
        assert set(re.findall(r"`([\w.]+)`", imported)) == uses[name], name
        assert purpose.endswith("."), f"{name} does not say what it is for"


def test_the_layers_are_those_that_the_import_rules_hold():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    assert [set(layer.split(" | ")) for layer in layers] == [set(layer) for layer in LAYERS]


def test_arrows_begin_and_end_at_the_rim_of_a_box_and_no_two_at_one_place(drawing):
    points = [point for arrow in drawing.arrows.values() for point in arrow]
    for x, y in points:
        assert any(
            (left <= x <= right and y in (top, bottom)) or (top <= y <= bottom and x in (left, right))
            for left, top, right, bottom in drawing.frames
        ), (x, y)
    assert len(set(points)) == len(points)


def test_it_fits_a_telephone_and_no_mark_leaves_its_box_or_covers_another(drawing):
    assert architecture.WIDTH <= 480
    inside = [one for one in drawing.frames if one[3] - one[1] == architecture.MARK]
    boxes = [one for one in drawing.frames if one not in inside]
    assert len(boxes) == len(PACKAGES)
    for left, top, right, bottom in inside:
        assert sum(a <= left and b <= top and right <= c and bottom <= d for a, b, c, d in boxes) == 1
        assert sum(left < c and a < right and top < d and b < bottom for a, b, c, d in inside) == 1  # itself
    assert all(left >= 0 and right <= architecture.WIDTH for left, _, right, _ in boxes)


def test_an_arrow_begins_at_a_part_where_only_that_part_imports():
    known = {"a": ["x"], "b": []}
    assert architecture.arrows({"a.x.m": ["b.n"], "a.x": ["b"]}, known) == [("a.x", "b")]
    assert architecture.arrows({"a.x.m": ["b.n"], "a.o": ["b"]}, known) == [("a", "b")]
    assert architecture.arrows({"a.x.m": ["a.o"]}, known) == []
    assert architecture.arrows({"a.xx": ["b"]}, known) == [("a", "b")]


def test_an_import_that_points_upwards_is_refused(monkeypatch):
    monkeypatch.setattr(architecture, "imports", lambda: {"models.layers": ["lhq_toolkit.cli"]})
    with pytest.raises(ValueError, match="models imports lhq_toolkit"):
        architecture.diagram()
