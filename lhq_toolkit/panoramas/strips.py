"""A panorama as a folder of strips, whole frames each, with a page that shows them side by side; or one WebP file."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Literal

from PIL import Image

from lhq_toolkit.panoramas.stream import Pixels, Stream, new_file, new_folder
from manifests.errors import MisuseError

StripFormat = Literal["png", "webp"]

STRIP_WIDTH = 8192  # pixels, at most: what programs and graphics cards show
LARGEST_WEBP = 16_383  # pixels a side: the format has no more

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src 'self'; style-src 'unsafe-inline'">
<style>body {{ margin: 0; background: #111; height: 100vh; display: flex; align-items: safe center; overflow: auto }}
div {{ display: flex }} img {{ display: block; flex: none }}</style>
<div>{images}</div></html>
"""


def check_webp(width: int) -> None:
    """MisuseError where one file cannot be so wide."""
    if width > LARGEST_WEBP:
        raise MisuseError(
            f"a WebP file is at most {LARGEST_WEBP:,} pixels wide, this one {width:,}: name a folder for strips "
            "(--strips webp), FILE.png or FILE.dzi"
        )


def write_webp(path: Path, stream: Stream) -> None:
    """One lossless WebP file, of at most 16,383 pixels."""
    check_webp(stream.width)
    (whole,) = stream.pieces(stream.width)
    with new_file(path) as temporary:
        save(temporary, whole, "webp")


def write(folder: Path, stream: Stream, kind: StripFormat = "png") -> list[Path]:
    """strip-00000.png and on, in a folder that appears when all are there; returns their paths, the page last."""
    frames = max(1, STRIP_WIDTH // stream.height)
    with new_folder(folder) as temporary:
        sizes = list(_saved(temporary, stream.pieces(frames * stream.height), kind))
        images = "".join(
            f'<img src="{name}" width="{width}" height="{stream.height}" alt="" loading="lazy">'
            for name, width in sizes
        )
        (temporary / "index.html").write_text(_PAGE.format(title=escape(folder.name), images=images), "utf-8")
    return [folder / name for name, _ in sizes] + [folder / "index.html"]


def _saved(folder: Path, pieces: Iterator[Pixels], kind: StripFormat) -> Iterator[tuple[str, int]]:
    for number, piece in enumerate(pieces):
        name = f"strip-{number:05d}.{kind}"
        save(folder / name, piece, kind)
        yield name, piece.shape[1]


def save(path: Path, pixels: Pixels, kind: StripFormat) -> None:
    """A picture in one piece; WebP without loss."""
    image = Image.fromarray(pixels)
    if kind == "webp":
        image.save(path, "WEBP", lossless=True)
    else:
        image.save(path, "PNG")
