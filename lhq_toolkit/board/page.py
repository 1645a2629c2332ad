"""The leaderboard's page: one HTML file that loads nothing, and whose tables a small script of ours sorts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import paper
from benchmarks.leaderboard import PAPER, Row
from benchmarks.paper import Published
from benchmarks.seeds import Entry
from lhq_toolkit.board import view
from lhq_toolkit.board.figures import ENTRIES, Axis, Chart, Series, chart
from lhq_toolkit.board.pictures import Drawn
from lhq_toolkit.board.view import Column, Group
from lhq_toolkit.report.drawing import Role
from lhq_toolkit.report.rendering import render
from lhq_toolkit.terminal import printable

HERE = Path(__file__).parent
REPORT_CSS = HERE.parent / "report" / "page.css"
HOURS_OF_PAPER = "training_days"


@dataclass(frozen=True)
class Cell:
    """A number as it is shown, and what the column is sorted by."""

    text: str
    value: str  # empty: there is none


@dataclass(frozen=True)
class Line:
    """An entry as it stands in the page."""

    label: str
    role: Role  # its colour in every figure of the page
    cells: Sequence[Cell]
    row: Row
    drawn: Drawn | None

    @property
    def is_ours(self) -> bool:
        return self.row.origin == "ours"


@dataclass(frozen=True)
class Beside:
    """A number of the paper's, and ours of the same kind."""

    published: Published
    ours: str
    hardware: str


@dataclass(frozen=True)
class Section:
    """A group as it stands in the page."""

    number: int
    group: Group
    columns: Sequence[Column]
    lines: Sequence[Line]
    about: str
    features: str
    infinity: Sequence[str]
    speed: Chart | None  # quality against speed
    distances: Chart | None  # Figure 8
    difficulty: Chart | None  # Figure 9
    repetition: Chart | None  # Figure 10
    beside: Sequence[Beside]

    @property
    def charts(self) -> list[Chart]:
        return [one for one in (self.speed, self.distances, self.difficulty, self.repetition) if one is not None]


def html(name: str, groups: Sequence[Group], drawn: Mapping[Row, Drawn], toolkit: str) -> str:
    """The page's text: the same for the same rows, pictures and toolkit."""
    labels = dict.fromkeys(_label(entry, group) for group in groups for entry in group.entries)
    roles = {label: ENTRIES[at % len(ENTRIES)] for at, label in enumerate(labels)}
    sections = [_section(at, group, drawn, roles) for at, group in enumerate(groups)]
    rows = [row for group in groups for entry in group.entries for row in entry.rows]
    return render(
        HERE / "page.html",
        REPORT_CSS.read_text() + (HERE / "page.css").read_text(),
        figure={one.drawing.name: one.drawing for section in sections for one in section.charts},
        script=(HERE / "sort.js").read_text(),
        name=printable(name),
        sections=sections,
        rows=rows,
        models=len({row.model for row in rows}),
        everything=[one for one in paper.published() if one.quantity not in _BESIDE],
        toolkit=toolkit,
        clean=printable,
    )


def _label(entry: Entry, group: Group) -> str:
    return printable(view.label(entry, group.entries))


def _section(number: int, group: Group, drawn: Mapping[Row, Drawn], roles: Mapping[str, Role]) -> Section:
    columns = group.columns()
    lines = [_line(entry, group, columns, drawn, roles) for entry in group.entries]
    return Section(
        number=number,
        group=group,
        columns=columns,
        lines=lines,
        about=printable(view.measured_on(group.row)),
        features=printable(view.features_of(group.row)),
        infinity=[printable(one) for one in group.infinity_setups],
        speed=_speed(number, group, lines),
        distances=_distances(number, group),
        difficulty=_difficulty(number, lines),
        repetition=_repetition(number, lines),
        beside=_beside(lines),
    )


def _line(
    entry: Entry, group: Group, columns: Sequence[Column], drawn: Mapping[Row, Drawn], roles: Mapping[str, Role]
) -> Line:
    cells = []
    for column in columns:
        spread = column.of(entry)
        digits = 4 if column.error is not None else 3  # distances are what is compared
        text = view.text_of(spread, digits).replace("± ", "±\N{NO-BREAK SPACE}")
        cells.append(Cell(text, "" if spread is None else repr(spread.mean)))
    pictures = next((drawn[row] for row in entry.rows if row in drawn), None)
    label = _label(entry, group)
    return Line(label, roles[label], cells, entry.row, pictures)


def _speed(number: int, group: Group, lines: Sequence[Line]) -> Chart | None:
    """Distance against the time of one image; of the device that most entries share."""
    every = zip(group.entries, lines, strict=True)
    timed = [(entry, line) for entry, line in every if (entry.row.ms_per_image or 0) > 0 and entry.row.distance]
    devices = [(entry.row.device, entry.row.threads, entry.row.dtype) for entry, _ in timed]
    if not group.comparable or len(devices) < 2:
        return None
    where = max(dict.fromkeys(devices), key=devices.count)
    named = []
    for (entry, line), device in zip(timed, devices, strict=True):
        distance, time = entry.over_seeds("distance"), entry.over_seeds("ms_per_image")
        if device == where and distance is not None and time is not None:
            said = f"{group.name} {distance.mean:.4g} at {time.mean:.3g} ms"
            point = (time.mean, distance.mean, f"{line.label}: {said}")
            named.append(Series(line.label, line.role, [point], joined=False, named=True))
    if len(named) < 2:
        return None
    threads = f", {where[1]} threads" if where[0] == "cpu" else ""
    title = f"Quality against speed, on {printable(where[0] or 'an unknown device')}{threads}"
    axis = Axis("ms per image, one at a time (left is faster, below is nearer)", logarithmic=True)
    return chart(f"speed-{number}", title, named, axis, Axis(group.name))


def _distances(number: int, group: Group) -> Chart | None:
    """Figure 8: both distances of ALIS against the frames from anchor to anchor."""
    found = sorted(
        (entry for entry in group.entries if entry.row.model == "alis" and entry.row.anchor_distance),
        key=lambda entry: entry.row.anchor_distance or 0,
    )
    at = list(dict.fromkeys(entry.row.anchor_distance or 0 for entry in found))
    if not group.comparable or len(at) < 2:
        return None
    series = []
    scores: tuple[tuple[str, str, Role], ...] = (
        ("distance", group.name, "ink"),
        ("endless", f"infinity {group.name}", "faint"),
    )
    for key, name, role in scores:
        if key == "endless" and not group.together:
            continue
        told = [(float(entry.row.anchor_distance or 0), entry.over_seeds(key)) for entry in found]
        points = [(d, one.mean, f"{name} {one.mean:.4g} at d = {d:g}") for d, one in told if one is not None]
        if len(points) > 1:
            series.append(Series(name, role, points))
    if not series:
        return None
    axis = Axis("d, frames from an anchor to the next", logarithmic=True, at=[float(one) for one in at])
    return chart(f"distances-{number}", "Both scores against the distance of anchors", series, axis, Axis(group.name))


def _difficulty(number: int, lines: Sequence[Line]) -> Chart | None:
    """Figure 9: how the distance grows between anchors."""
    series = []
    for line in lines:
        points = line.drawn.difficulty if line.drawn else ()
        if len(points) > 1:
            said = [(x, y, f"{y:.4g} at {x:g} frames from an anchor") for x, y in points]
            series.append(Series(line.label, line.role, said))
    if not series:
        return None
    axis = Axis("frames from the nearest anchor to the middle of the frame")
    return chart(f"difficulty-{number}", "How hard it is to connect anchors", series, axis, Axis("distance"))


def _repetition(number: int, lines: Sequence[Line]) -> Chart | None:
    """Figure 10: how alike frames of a panorama are, by how far they lie apart."""
    series = []
    for line in lines:
        points = line.drawn.repetition if line.drawn else ()
        if len(points) > 1:
            said = [(lag, alike, f"{alike:.3g} at {lag:g} frames") for lag, alike in points]
            series.append(Series(line.label, line.role, said))
    if not series:
        return None
    title = "How alike frames of a panorama are"
    return chart(f"repetition-{number}", title, series, Axis("frames apart"), Axis("similarity"))


_BESIDE = {  # the paper's quantity: our column, by what ours is multiplied
    "parameters": ("total", 1e-6),
    "ms_per_image": ("ms_per_image", 1.0),
    "fid": ("fid", 1.0),
    "infinity_fid": ("infinity_fid", 1.0),
    "training_days": ("train_hours", 1 / 24),
    "training_images": ("images_seen", 1e-6),
}


def _beside(lines: Sequence[Line]) -> list[Beside]:
    """Numbers of the paper's with ours of the same kind, model and size; for each the first entry of the model."""
    found = []
    seen = set()
    for line in lines:
        row = line.row
        if row.origin == PAPER or row.model in seen:
            continue
        seen.add(row.model)
        for one in paper.beside(row.model, row.dataset, row.resolution):
            name, factor = _BESIDE.get(one.quantity, ("", 1.0))
            value = getattr(row, name) if name else None
            if value is not None:
                hardware = row.train_devices if one.quantity == HOURS_OF_PAPER else row.device
                on = "" if one.quantity == "parameters" else printable(hardware or "")
                found.append(Beside(one, f"{value * factor:.4g}", on))
    return found
