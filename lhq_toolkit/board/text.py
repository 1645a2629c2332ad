"""A leaderboard as Markdown and as LaTeX. Cells may come from strangers: nothing in them is obeyed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lhq_toolkit.board import view
from lhq_toolkit.board.view import Column, Group
from lhq_toolkit.terminal import printable

SHOWN = ("distance", "endless", "images_seen", "train_hours", "ms_per_image", "panorama_ms_per_frame", "total")
_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # at the beginning of a line it would be taken for an argument of the line's end before
    "]": "{]}",
    "*": "{*}",
}
Escape = Callable[[str], str]


def markdown(groups: Sequence[Group]) -> str:
    """A table for each group that may be ranked together."""
    return "\n\n".join(_markdown(group) for group in groups) or "no rows yet"


def _markdown(group: Group) -> str:
    columns = _columns(group)
    lines = [
        f"**{escaped_markdown(view.measured_on(group.row))}**, {escaped_markdown(view.features_of(group.row))}",
        "",
        "| " + " | ".join(["model", *(column.title for column in columns), "device", "origin"]) + " |",
        "|" + "---|" + "---:|" * len(columns) + "---|---|",
    ]
    lines += ["| " + " | ".join(cells) + " |" for cells in _cells(group, columns, escaped_markdown)]
    return "\n".join([*lines, *(["", escaped_markdown(note)] if (note := _note(group)) else [])])


def latex(groups: Sequence[Group]) -> str:
    """A `table` for each group that may be ranked together; needs the package booktabs."""
    return "\n\n".join(_latex(group) for group in groups) or "% no rows yet"


def _latex(group: Group) -> str:
    columns = _columns(group)
    about = f"{view.measured_on(group.row)}, {view.features_of(group.row)}. {_note(group)}"
    body = [" & ".join(cells) + r" \\" for cells in _cells(group, columns, escaped_latex)]
    titles = " & ".join(escaped_latex(word) for word in ("model", *(one.title for one in columns), "device", "origin"))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escaped_latex(about.strip())}}}",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}ll}}",
            r"\toprule",
            titles + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _columns(group: Group) -> list[Column]:
    return [column for column in group.columns() if column.key in SHOWN]


def _cells(group: Group, columns: Sequence[Column], escape: Escape) -> list[list[str]]:
    return [
        [
            escape(view.label(entry, group.entries)),
            *(escape(view.text_of(column.of(entry))) for column in columns),
            escape(entry.row.device or "-"),
            escape(entry.row.origin),
        ]
        for entry in group.entries
    ]


def _note(group: Group) -> str:
    setups = group.infinity_setups
    if not setups:
        return ""
    apart = "" if group.together else "not comparable with each other: "
    return f"infinity {group.name}: {apart}{'; '.join(setups)}"


def escaped_markdown(text: str) -> str:
    """As text in a cell: no link, no HTML, no new cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", printable(text)).replace("\\(", "(").replace("\\)", ")")


def escaped_latex(text: str) -> str:
    """As text in a cell: no command."""
    return "".join(_LATEX.get(letter, letter) for letter in printable(text))
