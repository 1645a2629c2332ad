"""What a user wants of a panorama's anchors, in words of the command line, and the anchors that it means."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import MisuseError, SetupError

if TYPE_CHECKING:
    from models import alis
    from models.anchors import Anchors, Edit, Sampling

LARGEST_SEED = 2**64 - 1
FARTHEST = 2**48  # anchors
_SEED = re.compile(r"[0-9]{1,20}")
_FRAME = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
_SHOWN = 60  # characters of what is wrong


@dataclass(frozen=True)
class Wishes:
    """The options as they were given. Raises MisuseError for what cannot be read, before anything is opened."""

    resample: tuple[tuple[int, int, int], ...] = ()  # first anchor, count, seed
    swap: tuple[tuple[int, int, int], ...] = ()  # first anchor, the other first one, count
    connect: tuple[str, ...] = ()
    nearest: int | None = None
    clusters: int | None = None

    @property
    def some(self) -> bool:
        """Whether anything is not as the seed has it."""
        return self != Wishes()


def read(
    resample: Sequence[str], swap: Sequence[str], connect: str | None, nearest: int | None, clusters: int | None
) -> Wishes:
    """What the options say."""
    if nearest is not None and clusters is not None:
        raise MisuseError("--nearest and --clusters are two ways to draw anchors: use one")
    wishes = Wishes(
        resample=tuple(_three("--resample", one, "FIRST:COUNT:SEED") for one in resample),
        swap=tuple(_three("--swap", one, "FIRST:OTHER:COUNT") for one in swap),
        connect=tuple(part for part in connect.split(",") if part) if connect is not None else (),
        nearest=nearest,
        clusters=clusters,
    )
    if connect is not None and not wishes.connect:
        raise MisuseError("--connect: name what is to be connected, such as 3,17 or 0-00003,0-00007")
    if wishes.connect and wishes != Wishes(connect=wishes.connect):
        raise MisuseError("--connect says what the anchors are: leave --resample, --swap, --nearest and --clusters out")
    for _, _, seed in wishes.resample:
        _check_seed("--resample", seed)
    return wishes


def anchors(wishes: Wishes, generator: alis.Generator, seed: int) -> Anchors:
    """The anchors of the panorama of `seed` that were wished for. MisuseError for edits that cannot be."""
    from models.anchors import Anchors, redrawn, swapped

    edits: list[Edit] = []
    try:
        edits += [redrawn(*one) for one in wishes.resample]
        for first, other, count in wishes.swap:
            edits += swapped(seed, first, other, count)
        sampling = _sampling(wishes, generator, seed)
    except ValueError as error:
        raise MisuseError(str(error)) from error
    _refuse_overlaps(edits)
    return Anchors(sampling, tuple(edits))


def connected(wishes: Wishes, generator: alis.Generator) -> tuple[Anchors, int]:
    """Anchors 0 and on that pass through everything that is to be connected; and how many there are."""
    from models.anchors import Anchors, Frame, Given, Stretch

    edits: list[Edit] = []
    free = 0  # the next anchor
    for one in wishes.connect:
        edit: Edit
        if found := _FRAME.fullmatch(one):
            if generator.sizes.anchor_distance % 2:  # coordinates repeat every two frames
                free += free % 2
            edit = Frame(free, _check_seed("--connect", int(found[1])), _below(int(found[2]), one))
        elif _SEED.fullmatch(one):
            edit = Stretch(free, 1, _check_seed("--connect", int(one)), 0)
        else:
            edit = Given(free, _latents(Path(one), generator))
        edits.append(edit)
        free += edit.count
    if free < 2:
        raise MisuseError("--connect: one anchor alone connects nothing; name another seed, frame or file")
    return Anchors(edits=tuple(edits)), free


def told(changed: Anchors, generator: alis.Generator) -> list[dict[str, Any]]:
    """For each edit its anchors, the frames that it reaches, and where a frame stands, in pixels; for JSON."""
    from models.anchors import Frame, reach

    sizes = generator.sizes
    facts: list[dict[str, Any]] = []
    for edit in changed.edits:
        columns = reach(edit, sizes.span)
        frames = [columns.start // sizes.patches, columns.stop // sizes.patches]
        facts.append({"anchors": [edit.first, edit.first + edit.count], "frames": frames})
        if isinstance(edit, Frame):
            facts[-1]["frame_at"] = edit.column(sizes) * sizes.column_width
    return facts


def _sampling(wishes: Wishes, generator: alis.Generator, seed: int) -> Sampling:
    from models.anchor_sampling import Nearest, clustered
    from models.anchors import Free

    if wishes.nearest is not None:
        return Nearest(wishes.nearest)
    if wishes.clusters is not None:
        return clustered(generator.mapping, wishes.clusters, seed)
    return Free()


def _latents(path: Path, generator: alis.Generator) -> Any:
    """w [n, w_dim] from a file of safetensors with a tensor `w` [n, w_dim], or `z` [n, z_dim]."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise MisuseError(f"--connect: {path} is neither SEED, nor SEED-NUMBER, nor a file that is there") from error
    except (OSError, SafetensorError) as error:
        raise SetupError(f"{path} cannot be read as safetensors: {error}") from error
    wanted = {"w": generator.sizes.w_dim, "z": generator.sizes.z_dim}
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    fitting = {
        name: tensors[name].to(torch.float32)
        for name, width in wanted.items()
        if name in tensors and tensors[name].shape[1:] == (width,) and tensors[name].dtype in kinds
    }
    found = list(fitting)
    if len(found) != 1 or not len(fitting[found[0]]) or not fitting[found[0]].isfinite().all():
        there = ", ".join(f"{ascii(name)[1:-1][:_SHOWN]} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise SetupError(
            f"{path}: one tensor is wanted, w [n, {wanted['w']}] or z [n, {wanted['z']}], of finite floating-point "
            f"numbers; there are {there[: 10 * _SHOWN] or 'none'}"
        )
    latents = fitting[found[0]].to(generator.device)
    with torch.no_grad():
        return latents if found == ["w"] else generator.mapping(latents)


def _three(option: str, text: str, form: str) -> tuple[int, int, int]:
    parts = text.split(":")
    try:
        first, second, third = (int(part) for part in parts)
    except ValueError as error:
        raise MisuseError(f"{option} {text[:_SHOWN]}: give {form}, three whole numbers") from error
    _below(abs(first), text)
    _below(abs(second), text)
    return first, second, third


def _below(number: int, text: str) -> int:
    if number >= FARTHEST:
        raise MisuseError(f"{text[:_SHOWN]}: so far is no anchor; stay below {FARTHEST:,}")
    return number


def _check_seed(option: str, seed: int) -> int:
    if not 0 <= seed <= LARGEST_SEED:
        raise MisuseError(f"{option}: seed {str(seed)[:_SHOWN]}: give one from 0 to {LARGEST_SEED}")
    return seed


def _refuse_overlaps(edits: Sequence[Edit]) -> None:
    ends = sorted((edit.first, edit.first + edit.count) for edit in edits)
    for (_, end), (first, _) in itertools.pairwise(ends):
        if first < end:
            raise MisuseError(f"anchor {first} is changed twice: let --resample and --swap not overlap")
