"""Which kind of file a name asks for, and that it is written."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests import atomic
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from lhq_toolkit.panoramas.stream import Stream
    from lhq_toolkit.panoramas.strips import StripFormat


class Kind(StrEnum):
    """What a panorama can be written as."""

    PNG = "one PNG file"
    WEBP = "one WebP file"
    STRIPS = "a folder of strips"
    PYRAMID = "a Deep Zoom pyramid"
    MP4 = "an MP4 video"
    ANIMATION = "an animated WebP"


_STILL = {".png": Kind.PNG, ".webp": Kind.WEBP, ".dzi": Kind.PYRAMID, "": Kind.STRIPS}
_MOVING = {".mp4": Kind.MP4, ".webp": Kind.ANIMATION}


def kind_of(out: Path, moving: bool) -> Kind:
    """From the end of the name. MisuseError where it says nothing."""
    if moving:
        if found := _MOVING.get(out.suffix.lower()):
            return found
        raise MisuseError(f"-o {out}: --pan writes a video: give FILE.mp4 or FILE.webp")
    if found := _STILL.get(out.suffix.lower()):
        return found
    raise MisuseError(f"-o {out}: give FILE.png, FILE.webp, FILE.dzi (a tiled pyramid), or a folder for strips")


def check(out: Path, kind: Kind, width: int) -> None:
    """MisuseError where something is there, or the format has not the room; SetupError without an encoder."""
    from lhq_toolkit.panoramas import deep_zoom, png, stream, strips, video

    if kind is Kind.PYRAMID:
        deep_zoom.settle(out)
    stream.refuse_existing(out, *([deep_zoom.tiles_of(out)] if kind is Kind.PYRAMID else []))
    if kind is Kind.PNG:
        png.check(width)
    elif kind is Kind.WEBP:
        strips.check_webp(width)
    elif kind is Kind.MP4:
        video.find_encoder()


def write(out: Path, kind: Kind, stream: Stream, strip_format: StripFormat, speed: float | None) -> dict[str, Any]:
    """Write a panorama as it comes; what was written, for JSON. `speed`: the camera's, in frames a second."""
    from lhq_toolkit.panoramas import camera, deep_zoom, png, strips, video

    atomic.make_folder(out.parent)
    facts: dict[str, Any] = {"files": [str(out)], "width": stream.width, "height": stream.height}
    if kind is Kind.PNG:
        png.write(out, stream)
    elif kind is Kind.WEBP:
        strips.write_webp(out, stream)
    elif kind is Kind.STRIPS:
        facts["files"] = [str(path) for path in strips.write(out, stream, strip_format)]
    elif kind is Kind.PYRAMID:
        deep_zoom.write(out, stream)
        facts["files"].append(str(deep_zoom.tiles_of(out)))
    else:
        assert speed is not None
        path = camera.path(stream.height, stream.width, speed)
        make = video.write_mp4 if kind is Kind.MP4 else video.write_webp
        make(out, path.views(stream), path.view, path.height)
        facts |= {"width": path.view, "pictures": path.count, "seconds": path.count / camera.RATE, "speed": path.speed}
    return facts
