"""The diagram of the five packages and the table of their parts, from the imports as they are.

A package's parts are its folders; what lies in it beside them is the package itself. An arrow from A to B says that
some module of A imports one of B; it begins at a part where all imports come from that part.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.util import find_spec
from pathlib import Path

from lhq_toolkit.site.markdown import code, table

LAYERS = (("lhq_toolkit",), ("pipelines", "benchmarks"), ("manifests", "models"))  # imports point downwards
PACKAGES = tuple(name for layer in LAYERS for name in layer)

# Pixels, few enough across for a telephone: the picture, beside the middle layer, between boxes, in a box, a line.
WIDTH, MARGIN, GAP, INSET, LINE = 460, 24, 44, 10, 17
MARK, APART, LETTER, WORDS = 24, 6, 7.8, 6.4  # a part's mark: its height, between two; a letter in it, and elsewhere

Arrow = tuple[str, str]


@dataclass(frozen=True)
class Box:
    """Where a package or the mark of a part stands, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def imports() -> Mapping[str, Collection[str]]:
    """Every module of ours that imports others of ours, with those."""
    import grimp

    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def parts() -> Mapping[str, Sequence[str]]:
    """Of every package the names of its parts."""
    return {
        package: sorted(path.parent.name for path in _folder(package).glob("*/__init__.py")) for package in PACKAGES
    }


def part_of(module: str, known: Mapping[str, Sequence[str]]) -> str:
    """`pipelines.engine` for a module below it, `pipelines` for one that lies in no part."""
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return f"{package}.{first}" if first in known[package] else package


def arrows(imported: Mapping[str, Collection[str]], known: Mapping[str, Sequence[str]]) -> list[Arrow]:
    """Between packages: from a package, or from the only part of it that imports the other, to a package."""
    found: dict[Arrow, set[str]] = defaultdict(set)
    for module, others in imported.items():
        for other in others:
            ours, theirs = module.partition(".")[0], other.partition(".")[0]
            if ours != theirs:
                found[ours, theirs].add(part_of(module, known))
    return sorted((next(iter(users)) if len(users) == 1 else ours, theirs) for (ours, theirs), users in found.items())


def diagram() -> str:
    """The picture, as SVG to stand in a page; its colours are the page's."""
    known = parts()
    drawn = arrows(imports(), known)
    boxes = _places(known, drawn)
    height = boxes[LAYERS[-1][0]].bottom + 1
    return "\n".join(
        [
            f'<svg class="architecture" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="arch-title">',
            '<title id="arch-title">The five packages; an arrow points to what is imported</title>',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
            *(_drawn(name, box) for name, box in boxes.items()),
            *(_arrow(one, boxes) for one in drawn),
            "</svg>",
        ]
    )


def parts_table() -> str:
    """Every package and part: what it is for, and which others it imports."""
    known = parts()
    uses: dict[str, set[str]] = defaultdict(set)
    for module, others in imports().items():
        here = part_of(module, known)
        uses[here] |= {part_of(other, known) for other in others} - {here}
    names = [name for package in PACKAGES for name in (package, *(f"{package}.{part}" for part in known[package]))]
    rows = (
        (code(name), purpose(name), ", ".join(map(code, sorted(uses[name]))) or "nothing of ours") for name in names
    )
    return table(("part", "what it is for", "imports"), rows)


def purpose(name: str) -> str:
    """First sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse((_folder(name) / "__init__.py").read_text())) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def _folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    return Path(spec.origin).parent


def _places(known: Mapping[str, Sequence[str]], drawn: Collection[Arrow]) -> Mapping[str, Box]:
    """The layers from top to bottom, each package before its parts; those between leave room for arrows beside them.

    Parts that an arrow begins at stand last, where no other is in its way.
    """
    places: dict[str, Box] = {}
    users, top = {user for user, _ in drawn}, 1.0
    for depth, layer in enumerate(LAYERS):
        side = MARGIN if 0 < depth < len(LAYERS) - 1 else 1
        width = (WIDTH - 2 * side - GAP * (len(layer) - 1)) / len(layer)
        marks: dict[str, Box] = {}
        ends = []
        for at, name in enumerate(layer):
            left, below = side + at * (width + GAP), top + LINE * (2 + len(_said(name, width)))
            ordered = sorted((f"{name}.{part}" for part in known[name]), key=lambda part: (part in users, part))
            places[name] = Box(left, top, width, 0)
            marks |= _marks(ordered, Box(left + INSET, below, width - 2 * INSET, 0))
            ends += [below, *(mark.bottom + INSET for mark in marks.values())]
        places |= {name: replace(places[name], height=max(ends) - top) for name in layer} | marks
        top = max(ends) + GAP
    return places


def _marks(names: Sequence[str], room: Box) -> Mapping[str, Box]:
    """Marks of parts side by side from the upper left corner of the room, in as many rows as they need."""
    marks: dict[str, Box] = {}
    left, top = room.left, room.top
    for name in names:
        width = LETTER * len(name.partition(".")[2]) + 12
        if left > room.left and left + width > room.right:
            left, top = room.left, top + MARK + APART
        marks[name] = Box(left, top, width, MARK)
        left += width + APART
    return marks


def _said(name: str, width: float) -> Sequence[str]:
    """What a package is for, in lines that fit into its box."""
    return textwrap.wrap(re.split(r"[:;.]", purpose(name))[0], int((width - 2 * INSET) / WORDS))


def _drawn(name: str, box: Box) -> str:
    package, _, part = name.partition(".")
    kind = "part" if part else "package"
    frame = (
        f'<rect class="{kind}" x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}" rx="5"/>'
    )
    if part:
        return f'{frame}<text class="part" x="{box.middle:g}" y="{box.top + 16:g}">{escape(part)}</text>'
    x, y = box.left + INSET, box.top + 22
    lines = (
        f'<text class="purpose" x="{x:g}" y="{y + LINE * at:g}">{escape(line)}</text>'
        for at, line in enumerate(_said(name, box.width), 1)
    )
    return f'{frame}<text class="package" x="{x:g}" y="{y:g}">{escape(package)}</text>{"".join(lines)}'


def _arrow(arrow: Arrow, boxes: Mapping[str, Box]) -> str:
    """A line between two boxes; ValueError for one that would point upwards, for which there is no place."""
    user, used = arrow
    package = user.partition(".")[0]
    depth = {name: at for at, layer in enumerate(LAYERS) for name in layer}
    here, there, down = boxes[user], boxes[used], depth[used] - depth[package]
    if down < 0:
        raise ValueError(f"{user} imports {used}: imports point downwards")
    if down == 0:
        line = f"M{here.left if there.left < here.left else here.right:g} {here.top + here.height / 2:g}"
        line += f"H{there.right if there.left < here.left else there.left:g}"
    elif down == 1:
        apart = (there.middle - boxes[package].middle) / 4  # so that two of one box do not begin or end at one place
        start = here.middle if user != package else here.middle + apart
        end = there.middle - (apart if depth[package] else 0)
        line = f"M{start:g} {here.bottom:g}L{end:g} {there.top:g}"
    else:  # beside the layers between, on the side of the one it points to
        x = here.left + MARGIN / 2 if there.middle < WIDTH / 2 else here.right - MARGIN / 2
        line = f"M{x:g} {here.bottom:g}V{there.top:g}"
    return (
        f'<path class="import" data-user="{user}" data-used="{used}" d="{line}" marker-end="url(#head)">'
        f"<title>{user} imports {used}</title></path>"
    )
