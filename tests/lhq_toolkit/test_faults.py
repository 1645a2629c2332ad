"""Whatever breaks a command that writes, nothing is lost, and the same command again ends as an unbroken one.

The table of commands is `support/writing.py`, that of faults here; `docs/faults.md` tells of both.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
import writing
from comparing import files_of
from fakes import FakeWeb
from forks import Count, Ended, Fault, Kind, forking
from serving import serving
from writing import COMMANDS, OLDER, READERS, SERVERS, Command, World

from lhq_toolkit import cli
from manifests.atomic import TEMPORARY

pytestmark = pytest.mark.slow
SEEDS = 3
TWO_DAYS = 2 * 86_400  # seconds
CALLS = 4  # for which the network is cut

# Each fault strikes at one of the things that a command does, drawn by a seed.
FAULTS: Mapping[str, tuple[Kind, Count, int]] = {
    "killed": (Kind.KILL, Count.CHANGES, 0),
    "power cut": (Kind.POWER_CUT, Count.CHANGES, 0),
    "disk full": (Kind.DISK_FULL, Count.BYTES, 0),
    "rename fails": (Kind.RENAME_FAILS, Count.RENAMES, 0),
    "fsync fails": (Kind.SYNC_FAILS, Count.SYNCS, 0),
    "clock jumps ahead": (Kind.CLOCK_JUMPS, Count.CLOCKS, TWO_DAYS),
    "clock jumps back": (Kind.CLOCK_JUMPS, Count.CLOCKS, -TWO_DAYS),
    "network cut": (Kind.NETWORK_CUT, Count.NETWORK, CALLS),
}
KILLS = {Kind.KILL, Kind.POWER_CUT}
# These take many seconds each time: they are broken in the long matrix only.
DEAR = {"train", "benchmark", "convert -o net.onnx", "convert -o net.pt2"}


@dataclass
class Bench:
    """Commands, broken and whole, each in a folder of its own."""

    world: World
    folder: Path
    _whole: dict[str, tuple[Path, Ended]] = field(default_factory=dict)

    def whole(self, command: Command) -> tuple[Path, Ended]:
        """Where the command ran unbroken, and what was counted of it."""
        if command.name not in self._whole:
            place = self.folder / f"whole-{len(self._whole)}"
            self.world.prepare(command, place)
            ended = self.world.run(command, place)
            assert ended.code == 0, ended.err
            self._whole[command.name] = place, ended
        return self._whole[command.name]

    def breaking(self, command: Command, fault: Fault, place: Path) -> Ended:
        """Break the command in a new place, at this call or, where threads made fewer of them this time, before it."""
        while True:
            self.world.prepare(command, place)
            ended = self.world.run(command, place, fault)
            if ended.struck:
                return ended
            assert fault.at > 1, f"{command.name} does nothing that {fault} could strike"
            fault = dataclasses.replace(fault, at=fault.at // 2)
            shutil.rmtree(place)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    files = {writing.TOY.file: writing.NOISE}
    for name in ("notes", "world"):
        (folder / name).mkdir()
    try:
        with forking(folder / "notes") as forks, FakeWeb(writing.MADE_UP) as web, serving(files) as served:
            yield Bench(writing.make(folder / "world", forks, web, served.url), folder)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def drawn(command: Command, name: str, seed: int, counts: Mapping[Count, int]) -> Fault:
    """Where the fault strikes; skips where the command does nothing of the kind."""
    kind, count, size = FAULTS[name]
    if not counts[count]:
        pytest.skip(f"{command.name}: there is nothing that this could strike")
    dice = random.Random(f"{command.name} {name} {seed}")
    return Fault(kind, dice.randint(0 if count is Count.BYTES else 1, counts[count] - (count is Count.BYTES)), size)


def cases() -> list[object]:
    """Every command with every fault; always one fault of each command, in turn, so that each kind is there."""
    found = []
    for at, command in enumerate(COMMANDS):
        mine = [name for name in FAULTS if command.network or name != "network cut"]
        always = "network cut" if command.network else mine[at % len(mine)]
        for name in mine:
            for seed in range(SEEDS):
                marks = [] if (name, seed) == (always, 0) and command.name not in DEAR else [pytest.mark.long]
                found.append(pytest.param(command, name, seed, marks=marks, id=f"{command.name}-{name}-{seed}"))
    return found


@pytest.mark.parametrize(("command", "name", "seed"), cases())
def test_a_broken_command_loses_nothing_and_ends_as_an_unbroken_one(bench, tmp_path, command, name, seed):
    reference, unbroken = bench.whole(command)
    fault = drawn(command, name, seed, unbroken.counts)
    place = tmp_path / "place"
    ended = bench.breaking(command, fault, place)
    end_as_unbroken(bench.world, command, fault, ended, place, reference)


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_a_command_killed_at_every_named_point_ends_as_an_unbroken_one(bench, tmp_path, command):
    reference, unbroken = bench.whole(command)
    for point, times in unbroken.points.items():
        for time in sorted({1, times}):
            place = tmp_path / f"{point}-{time}"
            fault = Fault(Kind.KILL, time, point=point)
            ended = bench.breaking(command, fault, place)
            end_as_unbroken(bench.world, command, fault, ended, place, reference)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, id=one.name, marks=[] if one.name in ("crawl", "remove") else pytest.mark.long)
        for one in COMMANDS
    ],
)
def test_a_disk_that_fills_up_loses_nothing(bench, tmp_path, command):
    """As above, on a file system that is really full."""
    reference, _ = bench.whole(command)
    place = tmp_path / "small"
    bench.world.prepare(command, tmp_path / "before")
    before, after = (_size(one) for one in (tmp_path / "before", reference))
    room = before + round((after - before) * random.Random(command.name).random()) if after > before else before
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", place], check=False).returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        bench.world.prepare(command, place)
        ended = bench.world.run(command, place)
        assert ended.code in (0, 1), ended.err
        subprocess.run(["mount", "-o", "remount,size=256m", place], check=True)
        end_as_unbroken(bench.world, command, Fault(Kind.DISK_FULL), ended, place, reference)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _size(folder: Path) -> int:
    """Bytes that a folder takes on a tmpfs, by whole pages."""
    pages = (-(-path.stat().st_size // 4096) if path.is_file() else 1 for path in folder.rglob("*"))
    return 4096 * (1 + sum(pages))


def test_the_page_names_every_fault_and_every_command():
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    named = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)
    assert named == ["fault", *FAULTS, "command", *(f"`{one.name}`" for one in COMMANDS)]


def test_every_command_of_the_program_is_broken_here_or_writes_nothing():
    program = typer.main.get_command(cli.app)
    groups = {name: getattr(one, "commands", [""]) for name, one in program.commands.items()}
    names = {f"{name} {part}".strip() for name, parts in groups.items() for part in parts}
    called = [" ".join([*arguments, ""]) for arguments in (*(one.arguments for one in COMMANDS), *READERS)]
    assert [name for name in names if not any(line.startswith(f"{name} ") for line in called)] == [*SERVERS]


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_a_command_that_is_not_broken_writes_nothing(bench, tmp_path, arguments):
    holds = {**writing.FILTERED, **writing.BOARD, **writing.PICTURES}
    command = Command(" ".join(arguments), arguments, lambda *_: None, holds)
    bench.world.prepare(command, tmp_path)
    before = files_of(tmp_path, "*.lock")
    ended = bench.world.run(command, tmp_path)
    assert ended.code == 0, ended.err
    assert files_of(tmp_path, "*.lock") == before
    assert _temporaries(tmp_path) == []


# What is asked of a broken command.


def end_as_unbroken(world: World, command: Command, fault: Fault, ended: Ended, place: Path, reference: Path) -> None:
    assert_told(fault, ended)
    done = assert_sound(world, command, fault, place, reference)
    again = world.run(command, place)
    if command.once and done:
        assert (again.code, ended.code in (0, -signal.SIGKILL)) == (2, True), again.err
    else:
        assert again.code == 0, again.err
    command.check(place, reference)
    if command.has_dataset:
        assert _findings(world, place) == []
    assert _temporaries(place) == []
    shutil.rmtree(place, ignore_errors=True)


def assert_told(fault: Fault, ended: Ended) -> None:
    """It was killed, or managed without what failed, or says in one line what is wrong."""
    if fault.kind in KILLS:
        assert ended.code == -signal.SIGKILL
        return
    assert "Traceback" not in ended.err
    assert "a bug" not in ended.err
    if fault.kind is Kind.CLOCK_JUMPS:
        assert ended.code == 0, ended.err
    elif ended.code != 0:
        assert ended.code == 1, ended.err
        assert len(re.findall(r"^lhq: ", ended.err, re.MULTILINE)) == 1, ended.err


def assert_sound(world: World, command: Command, fault: Fault, place: Path, reference: Path) -> bool:
    """Nothing is half written under a final name, nothing is damaged; whether the command had done its work."""
    done = command.out is not None and (place / command.out).exists()
    if done and not (command.replaces and (place / command.out).read_bytes() == OLDER):
        command.check(place, reference)
    if fault.kind not in KILLS:
        assert _temporaries(place) == []
    if command.has_dataset and not command.spoiled and (place / "d" / "dataset.json").exists():
        left = {"file without a row"} | ({"leftover"} if fault.kind in KILLS else set())
        found = [
            one
            for one in _findings(world, place)
            if one["kind"] not in left and one["where"] != "removal.json"  # decided: the next command completes it
        ]
        assert found == []
    return done


def _findings(world: World, place: Path) -> list[dict[str, str]]:
    """What `lhq verify` says of the dataset."""
    ended = world.verify(place)
    assert ended.out, ended.err
    found: list[dict[str, str]] = json.loads(ended.out)["findings"]
    return found


def _temporaries(place: Path) -> list[Path]:
    """What was written under a temporary name and is still there."""
    return sorted(path.relative_to(place) for path in place.rglob(f"{TEMPORARY}*"))
