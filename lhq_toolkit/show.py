"""How the funnel and leaderboards are shown: as text for a person, as JSON for a program."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lhq_toolkit import terminal
from manifests import schema
from manifests.counts import plural
from manifests.recipes import Recipe
from pipelines import handed_on
from pipelines.filter import Filtered
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, REJECTED, Funnel

if TYPE_CHECKING:
    import pyarrow as pa

    from benchmarks.leaderboard import Row
    from lhq_toolkit.board.view import Group
    from pipelines.dry_run import Planned

REASONS_SHOWN = 4


def status(funnel: Funnel) -> dict[str, Any]:
    """The JSON of `lhq status`."""
    statuses = counted(funnel.photos["file_status"])
    return {
        "photos": funnel.photos.num_rows,
        "files": {
            "ok": statuses.get(schema.OK, 0),
            "failed": statuses.get(schema.FAILED, 0) + statuses.get(schema.GIVEN_UP, 0),
        },
        "stages": {
            outcome.stage: {
                "kept": outcome.count(KEPT),
                "rejected": outcome.count(REJECTED),
                "errors": outcome.count(ERROR),
                "pending": outcome.count(PENDING),
                "reasons": outcome.reasons(),
            }
            for outcome in funnel.outcomes
        },
        "reviewed": int((funnel.brought_in | funnel.taken_out).sum()),
        "curated": int(funnel.members.sum()),
    }


def funnel(funnel: Funnel, subset: str, recipe: Recipe) -> str:
    """The funnel as lines of text."""
    facts = status(funnel)
    lines = [
        f"{'stage':<12}{'reached':>10}{'kept':>10}{'rejected':>10}{'errors':>8}{'pending':>9}   why not",
        f"{'crawl':<12}{facts['photos']:>10,}{facts['files']['ok']:>10,}{facts['files']['failed']:>10,}"
        f"{'':>8}{facts['photos'] - facts['files']['ok'] - facts['files']['failed']:>9,}"
        f"   {_some(_file_errors(funnel))}".rstrip(),
    ]
    for outcome in funnel.outcomes:
        counts = [outcome.count(state) for state in (KEPT, REJECTED, ERROR, PENDING)]
        reached = int((outcome.state != NOT_REACHED).sum())
        lines.append(
            f"{outcome.stage:<12}{reached:>10,}{counts[0]:>10,}{counts[1]:>10,}{counts[2]:>8,}{counts[3]:>9,}"
            f"   {_some(outcome.reasons())}".rstrip()
        )
    if facts["reviewed"]:
        kept, rejected = int(funnel.brought_in.sum()), int(funnel.taken_out.sum())
        lines.append(f"{'review':<12}{facts['reviewed']:>10,}{kept:>10,}{rejected:>10,}")
    lines.append(f"{subset:<12}{'':>10}{facts['curated']:>10,}")
    notes = [f"  {outcome.stage}: {note}" for outcome in funnel.outcomes for note in outcome.notes]
    return "\n".join(lines + notes + _settings(recipe))


def _file_errors(funnel: Funnel) -> dict[str, int]:
    """Why files are not there, most frequent first."""
    return counted(funnel.photos["file_error"])


def counted(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each text stands in a column, most frequent first; nulls are not counted."""
    pairs = column.drop_null().value_counts().to_pylist()
    return {one["values"]: one["counts"] for one in sorted(pairs, key=lambda one: -one["counts"])}


def _some(counts: Mapping[str, int]) -> str:
    """The most frequent of the reasons, and how many more there are."""
    reasons = list(counts.items())
    text = ", ".join(f"{reason} ({count:,})" for reason, count in reasons[:REASONS_SHOWN])
    more = sum(count for _, count in reasons[REASONS_SHOWN:])
    return f"{text}, {len(reasons) - REASONS_SHOWN} more reasons ({more:,})" if more else text


def _settings(recipe: Recipe) -> list[str]:
    """The thresholds that were used, a line per stage."""
    return [
        f"  {step.stage}: " + ", ".join(f"{name}={value}" for name, value in step.settings.items() if value is not None)
        for step in recipe.steps
        if any(value is not None for value in step.settings.values())
    ]


def exports(root: Path, funnel: Funnel, subset: str) -> list[str]:
    """A line for each export of the subset, the latest last: where it is, and whether the subset has changed since."""
    noted = list(handed_on.noted(root))
    lines, subset_hash = [], funnel.subset_hash() if noted else ""
    for one in noted:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # of a damaged line
            if one["subset"] == subset:
                now = "" if one["subset_hash"] == subset_hash else "; the subset has changed since"
                size, kind = one["resolution"], one["format"]
                lines.append(
                    f"export {one['out']}: {plural(one['pictures'], 'picture')} of {size}x{size} ({kind}){now}"
                )
    return lines


def measured(filtered: Filtered) -> dict[str, Any]:
    """What each image stage measured in this run, with its throughput."""
    return {
        stage: {
            **dataclasses.asdict(one),
            "images_per_second": round(one.images / one.seconds, 2) if one.seconds else None,
        }
        for stage, one in filtered.measured.items()
    }


def measured_text(filtered: Filtered) -> str:
    """A line per image stage."""
    lines = []
    for stage, one in filtered.measured.items():
        if one.fingerprint is None:
            lines.append(
                f"{stage}: not fitted, too few photos, which wait and are out; to go without it: --drop {stage}"
            )
            continue
        fitted = "fitted anew, " if one.fitted else ""
        rate = f" in {one.seconds:,.1f} s ({one.images / one.seconds:,.1f}/s)" if one.images and one.seconds else ""
        errors = f", {one.errors:,} with errors" if one.errors else ""
        lines.append(
            f"{stage}: {fitted}{plural(one.images, 'image')} measured{rate}{errors} "
            f"(fingerprint {one.fingerprint[:12]})"
        )
    return "\n".join(lines) or "nothing to measure: these stages only decide"


def planned(stages: Sequence[Planned]) -> str:
    """What a dry run found, a line per stage."""
    lines = [f"{'stage':<12}{'photos':>10}{'to measure':>12}   time"]
    guess = False
    for one in stages:
        photos = f"{'<= ' if guess else ''}{one.photos:,}"
        lines.append(f"{one.stage:<12}{photos:>10}{one.images:>12,}   {_time(one)}")
        guess = guess or bool(one.images)
    return "\n".join([*lines, "nothing was measured, decided or saved"])


def _time(one: Planned) -> str:
    if one.lacks:
        return f"too few photos to learn from, {one.lacks} more are needed: all would wait and be out"
    if not one.images:
        return "decides in seconds"
    about = "unknown" if one.seconds is None else f"about {duration(one.seconds)}"
    if one.at_least:
        return f"a fit, then {about.replace('about', 'at least')} (reading alone was timed)"
    return about


def duration(seconds: float) -> str:
    """A time in its largest fitting unit."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} s"


def leaderboard(rows: Sequence[Row]) -> str:
    """Rows as a table for a person, a block for each group that may be ranked together.

    Seeds of one recipe are one line, with the standard deviation over them. Rows may be of strangers: nothing in them
    reaches a terminal that is not shown.
    """
    from lhq_toolkit.board import view

    return terminal.lines("\n\n".join(_group(group) for group in view.groups(rows)) or "no rows yet")


def _group(group: Group) -> str:
    from lhq_toolkit.board import view

    labels = [_one_line(view.label(entry, group.entries)) for entry in group.entries]
    wide = max(12, *(len(label) + 2 for label in labels))
    lines = [
        f"{_one_line(view.measured_on(group.row))}, {_one_line(view.features_of(group.row))}",
        f"{'model':<{wide}}{'budget':<8}{group.name:>16}{'infinity ' + group.name:>18}{'images':>12}{'hours':>9}"
        f"{'ms/image':>10}{'ms/frame':>10}{'parameters':>13}   device",
    ]
    for label, entry in zip(labels, group.entries, strict=True):
        row = entry.row
        near = view.text_of(entry.over_seeds("distance", "fd_error"))
        endless = view.text_of(entry.over_seeds("endless", "infinity_fd_error"))
        numbers = (
            f"{near:>16}{endless:>18}{_cell(row.images_seen, ','):>12}"
            f"{_cell(row.train_hours, '.3g'):>9}{_cell(row.ms_per_image, '.3g'):>10}"
            f"{_cell(row.panorama_ms_per_frame, '.3g'):>10}{_cell(row.total, ','):>13}"
        )
        where = f"{row.device or '-'}" + (f", {row.threads} threads" if row.device == "cpu" else "")
        origin = "" if row.origin == "ours" else f" ({row.origin})"
        lines.append(f"{label:<{wide}}{_one_line(row.budget):<8}{numbers}   {_one_line(where + origin)}")
    if group.infinity_setups:
        apart = "" if group.together else "not comparable with each other; "
        lines.append(f"infinity {group.name}: {apart}{_one_line('; '.join(group.infinity_setups))}")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _cell(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)
