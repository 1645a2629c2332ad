"""What `lhq generate` draws: frames, panoramas as they stream into files, and the figure of shifted anchors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks import equivariance as figures
from benchmarks import generate, samples, worlds
from benchmarks.generate import PLAIN, Codes
from benchmarks.networks import Endless
from benchmarks.runs import Snapshot
from benchmarks.worlds import World
from lhq_toolkit.panoramas import output, stream, wishes
from lhq_toolkit.panoramas.output import Kind
from lhq_toolkit.panoramas.stream import Pixels, Stream
from lhq_toolkit.panoramas.strips import StripFormat
from lhq_toolkit.panoramas.wishes import Wishes
from manifests import atomic
from manifests.counts import plural
from models import taming
from models.anchors import OWN
from pipelines.engine.progress import Progress


@dataclass(frozen=True)
class Made:
    """What a command says at its end, to people and as JSON."""

    told: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Panorama:
    """What was asked for. start, count: frames; no count where what is connected says it."""

    wishes: Wishes
    seed: int
    start: int
    count: int | None
    truncation: float
    codes: Codes = PLAIN


def frames(snapshot: Snapshot, out: Path, count: int, seed: int, truncation: float) -> Made:
    """Independent frames in a folder."""
    with Progress("generate", count, "frames") as progress, atomic.named(out):
        paths = generate.frames(snapshot, out, count, seed, truncation, progress.advance)
    return Made(f"{out}: {plural(count, 'frame')} of seed {seed}", {"files": [str(path) for path in paths]})


def panorama(
    snapshot: Snapshot, asked: Panorama, out: Path, kind: Kind, strip_format: StripFormat, speed: float | None
) -> Made:
    """A panorama, or a video of it, written while it is made. Raises MisuseError for what the model has not."""
    if isinstance(snapshot.generator, taming.Generator):
        drawn = _from_the_left(snapshot.generator, asked)
    else:
        drawn = _anywhere(worlds.endless(snapshot.generator), asked)
    output.check(out, kind, drawn.count * drawn.height)
    with Progress("generate", drawn.count, "frames") as progress:
        pixels = Stream(drawn.height, drawn.count * drawn.height, _counted(drawn, progress))
        facts = output.write(out, kind, pixels, strip_format, speed)
    facts |= {"seed": asked.seed, "start": drawn.start, "frames": drawn.count, "edits": drawn.edits}
    return Made(_told(out, kind, asked, facts), facts)


@dataclass(frozen=True)
class _Drawn:
    """A panorama to be written. start, count: frames; blocks: uint8 [3, height, width], from left to right."""

    start: int
    count: int
    height: int
    blocks: Iterator[Tensor]
    edits: list[dict[str, Any]]


def _anywhere(generator: Endless, asked: Panorama) -> _Drawn:
    start, count, anchors = asked.start, asked.count, OWN
    edits: list[dict[str, Any]] = []
    if asked.wishes.some:
        alis = worlds.with_anchors(generator)
        if asked.wishes.connect:
            anchors, many = wishes.connected(asked.wishes, alis)
            start, count = 0, (many - 1) * alis.sizes.anchor_distance
        else:
            anchors = wishes.anchors(asked.wishes, alis, asked.seed)
        edits = wishes.told(anchors, alis)
    assert count is not None
    world = World(generator, asked.seed, asked.truncation, anchors)
    blocks = world.blocks(start * world.frame_columns, count * world.frame_columns)
    return _Drawn(start, count, world.height, blocks, edits)


def _from_the_left(generator: taming.Generator, asked: Panorama) -> _Drawn:
    worlds.refuse_truncation(generator, asked.truncation)
    if asked.start or asked.wishes.some or asked.count is None:
        worlds.endless(generator)  # it says why there is none
    assert asked.count is not None
    blocks = generate.from_the_left(generator, asked.seed, asked.count, asked.codes)
    return _Drawn(0, asked.count, generator.sizes.resolution, blocks, [])


def _counted(drawn: _Drawn, progress: Progress) -> Iterator[Pixels]:
    done = 0
    for block in drawn.blocks:
        yield block.permute(1, 2, 0).contiguous().numpy()
        done += block.shape[2]
        progress.advance(done // drawn.height - progress.done)


def _told(out: Path, kind: Kind, asked: Panorama, facts: dict[str, Any]) -> str:
    text = f"{out}: {kind}, {facts['frames']:,} frames"
    if not asked.wishes.connect:
        text += f" of seed {asked.seed} from frame {asked.start} on"
    if "seconds" in facts:
        text += f"; {facts['seconds']:.1f} s at {facts['speed']:.3g} frames a second"
    for edit in facts["edits"]:
        first, end = edit["frames"]
        anchors = range(*edit["anchors"])
        named = f"anchors {anchors[0]} to {anchors[-1]}" if len(anchors) > 1 else f"anchor {anchors[0]}"
        text += f"\n{named} changed: seen from frame {first} to frame {end}"
        if "frame_at" in edit:
            text += f"; the frame begins at pixel {edit['frame_at']}"
    return text


def equivariance(snapshot: Snapshot, out: Path, seed: int, start: int, truncation: float) -> Made:
    """The figure of shifted anchors, and how far frames differ where they show the same."""
    world = World(worlds.endless(snapshot.generator), seed, truncation)
    stream.refuse_existing(out)
    found = figures.equivariance(world, start * world.frame_columns)
    atomic.make_folder(out.parent)
    with atomic.named(out):
        samples.write(out, found.picture)
    facts = {
        "files": [str(out)],
        "shifts": list(found.shifts),
        "largest_difference": found.largest,
        "relative_difference": found.relative,
    }
    shifts = ", ".join(str(shift) for shift in found.shifts)
    return Made(
        f"{out}: frames shifted by {shifts} pixels; where they overlap they differ by at most {found.largest:.2g} of "
        f"255 levels, {found.relative:.1g} of their norm",
        facts,
    )
