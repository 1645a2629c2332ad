"""Figures as a list of plain shapes, which become SVG (in the page or in a file of its own) or PNG.

Lengths are in CSS pixels of a drawing that a phone shows nearly at its size. Colours are roles; the page gives them
their values for light and for dark.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from PIL import Image, ImageDraw, ImageFont

Role = Literal["ink", "faint", "grid", "kept", "rejected", "error", "pending", "flow", "accent", "violet", "olive"]

LIGHT: dict[str, str] = {
    "paper": "#ffffff",
    "ink": "#1d2430",
    "faint": "#5c6675",
    "grid": "#d8dde5",
    "kept": "#2f7d6b",
    "rejected": "#d9822b",
    "error": "#b3312c",
    "pending": "#9aa3b0",
    "flow": "#cfe4de",
    "accent": "#2b4fb0",
    "violet": "#7a4fb5",
    "olive": "#7d7a1f",
}
SCALE = 3  # pixels of a PNG per pixel of a drawing
TEXT = 12  # pixels: the size of text where none is given


@dataclass(frozen=True)
class Rect:
    """A filled box; `about` is shown where a mouse rests on it."""

    x: float
    y: float
    width: float
    height: float
    role: Role
    about: str = ""


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    role: Role
    width: float = 1
    dashed: bool = False


@dataclass(frozen=True)
class Curve:
    """A line through points."""

    points: Sequence[tuple[float, float]]
    role: Role
    width: float = 1.5


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: Sequence[tuple[float, float]]
    role: Role


@dataclass(frozen=True)
class Text:
    """One line of text on its base line, from, around or up to x."""

    x: float
    y: float
    text: str
    role: Role = "ink"
    size: float = TEXT
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


Shape = Rect | Line | Curve | Area | Text


@dataclass(frozen=True)
class Drawing:
    """A figure: its name (of a file), what it shows (for those who do not see it), its size and shapes in order."""

    name: str
    title: str
    description: str
    width: float
    height: float
    shapes: Sequence[Shape]

    def svg(self, *, alone: bool = False) -> str:
        """SVG text; `alone`: with colours of its own, as a file needs."""
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img"'
        size = f' width="{_n(self.width)}" height="{_n(self.height)}"' if alone else ""
        label = f" aria-label={quoteattr(clean(f'{self.title}. {self.description}'))}"
        body = [_as_svg(shape, alone) for shape in self.shapes]
        if alone:
            body.insert(0, f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>')
        return "\n".join([f'{head}{size}{label} font-family="system-ui, sans-serif">', *body, "</svg>"])

    def png(self) -> bytes:
        """PNG bytes, `SCALE` times as large as the drawing."""
        image = Image.new("RGB", (round(self.width * SCALE), round(self.height * SCALE)), LIGHT["paper"])
        brush = ImageDraw.Draw(image)
        for shape in self.shapes:
            _paint(brush, shape)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(letter for letter in text if letter >= " " and not 0xD800 <= ord(letter) <= 0xDFFF and ord(letter) & 0xFFFE != 0xFFFE)  # fmt: skip  # noqa: E501


def cut_text(text: str, width: float, size: float = TEXT) -> str:
    """The text, or as much of it as fits so many pixels, with an ellipsis."""
    most = max(1, int(width / (0.56 * size)))
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}\u2026"


def _as_svg(shape: Shape, alone: bool) -> str:
    paint = f'fill="{LIGHT[shape.role]}"' if alone else f'class="{shape.role}"'
    if isinstance(shape, Rect):
        place = f'x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}"'
        about = f"<title>{escape(clean(shape.about))}</title>" if shape.about else ""
        return f"<rect {place} {paint}>{about}</rect>"
    stroke = f'fill="none" stroke="{LIGHT[shape.role]}"' if alone else f'class="line {shape.role}"'
    if isinstance(shape, Area):
        return f'<polygon points="{_points(shape.points)}" {paint}/>'
    if isinstance(shape, Curve):
        width = f'stroke-width="{_n(shape.width)}" stroke-linejoin="round"'
        return f'<polyline points="{_points(shape.points)}" {stroke} {width}/>'
    if isinstance(shape, Line):
        ends = f'x1="{_n(shape.x1)}" y1="{_n(shape.y1)}" x2="{_n(shape.x2)}" y2="{_n(shape.y2)}"'
        dash = ' stroke-dasharray="4 3"' if shape.dashed else ""
        return f'<line {ends} {stroke} stroke-width="{_n(shape.width)}"{dash}/>'
    weight = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}" text-anchor="{shape.anchor}"'
        f"{weight} {paint}>{escape(clean(shape.text))}</text>"
    )


def _paint(brush: ImageDraw.ImageDraw, shape: Shape) -> None:
    colour = LIGHT[shape.role]
    if isinstance(shape, Rect):
        right, bottom = shape.x + max(shape.width, 0), shape.y + max(shape.height, 0)
        if right > shape.x and bottom > shape.y:
            box = [shape.x * SCALE, shape.y * SCALE, right * SCALE - 1, bottom * SCALE - 1]
            brush.rectangle([box[0], box[1], max(box[0], box[2]), max(box[1], box[3])], fill=colour)
    elif isinstance(shape, Area):
        brush.polygon([(x * SCALE, y * SCALE) for x, y in shape.points], fill=colour)
    elif isinstance(shape, Curve):
        points = [(x * SCALE, y * SCALE) for x, y in shape.points]
        brush.line(points, fill=colour, width=max(1, round(shape.width * SCALE)), joint="curve")
    elif isinstance(shape, Line):
        ends = (shape.x1 * SCALE, shape.y1 * SCALE, shape.x2 * SCALE, shape.y2 * SCALE)
        brush.line(ends, fill=colour, width=max(1, round(shape.width * SCALE)))
    else:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        font = ImageFont.load_default(shape.size * SCALE)
        brush.text((shape.x * SCALE, shape.y * SCALE), clean(shape.text), fill=colour, font=font, anchor=anchor)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
