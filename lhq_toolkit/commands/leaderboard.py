"""`lhq leaderboard`: look at published rows, check them, take in those of others, publish."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import Json
from manifests.counts import plural
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from benchmarks.leaderboard import Row
    from lhq_toolkit.board.pictures import Drawn
    from lhq_toolkit.board.view import Group

app = typer.Typer(help="Leaderboards: a CSV per dataset, a row per measured run.", no_args_is_help=True)

Board = Annotated[Path, typer.Argument(metavar="FILE.csv", help="The leaderboard.")]
Runs = Annotated[
    Path | None,
    typer.Option(
        "--runs", metavar="FOLDER", help="The folder of the runs, for pictures.", show_default="out/benchmark/NAME"
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="What the page is called.", show_default="the file's name")
]


@app.command("show")
def show_(
    board: Board,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (package booktabs).")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PAGE.html", help="Write one page that needs no network.")
    ] = None,
    runs: Runs = None,
    name: Name = None,
    json_: Json = False,
) -> int:
    """Show the latest row of every run; only rows that are comparable are ranked together.

    Runs of one recipe with several seeds are one entry, with mean and standard deviation. The page has pictures and
    figures of the runs that lie in --runs, and the paper's numbers.
    """
    from benchmarks import leaderboard
    from lhq_toolkit import show

    if sum((markdown, latex, html is not None, json_)) > 1:
        raise MisuseError("--markdown, --latex, --html, --json: choose one")
    rows = leaderboard.latest(leaderboard.read(board))
    if html is not None:
        from lhq_toolkit.board import page
        from manifests import atomic

        groups, drawn = _gathered(board, rows, runs)
        atomic.make_folder(html.parent)
        text = page.html(name or board.stem, groups, drawn, __version__)
        atomic.write_bytes(html, text.encode("utf-8", errors="replace"))
        print(f"{html}: {plural(len(rows), 'run')}, {len(drawn):,} of them with pictures")
    elif json_:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    elif markdown or latex:
        from lhq_toolkit.board import text as written

        groups, _ = _gathered(board, rows, runs)
        print(written.markdown(groups) if markdown else written.latex(groups))
    else:
        print(show.leaderboard(rows))
    return 0


@app.command("check")
def check_(board: Board, json_: Json = False) -> int:
    """Look at every line of FILE.csv, and tell those that are wrong. Exit code 1 where there is one.

    Types, columns, rows that stand there twice, impossible numbers, a FID that is not the 2015 Inception's, numbers
    that nothing can be compared with, text that a terminal or a spreadsheet would obey.
    """
    from benchmarks.board_check import check
    from lhq_toolkit.terminal import printable

    checked = check(board)
    if json_:
        problems = [dataclasses.asdict(one) for one in checked.problems]
        print(json.dumps({"rows": len(checked.rows), "problems": problems}))
    else:
        for problem in checked.problems:
            print(printable(f"{board}, {problem}"))
        print(f"{board}: {plural(len(checked.rows), 'sound row')}, {plural(len(checked.problems), 'problem')}")
    return 1 if checked.problems else 0


@app.command("merge")
def merge_(
    board: Board,
    others: Annotated[list[Path], typer.Argument(metavar="OTHER.csv", help="Leaderboards of others.")],
    json_: Json = False,
) -> int:
    """Add to FILE.csv the rows of others that can be compared with one of its rows, marked as merged.

    What cannot be compared is refused, and why is told; a file with a line that is not sound adds nothing. Exit
    code 1 where anything was refused.
    """
    from benchmarks.board_merge import merge
    from lhq_toolkit.terminal import printable

    merged = merge(board, others)
    if json_:
        print(json.dumps({"added": len(merged.added), "known": merged.known, "refused": merged.refused}))
    else:
        for reason in merged.refused:
            print(printable(f"refused: {reason}"))
        known = f", {merged.known:,} were there already" if merged.known else ""
        print(
            f"{board}: {plural(len(merged.added), 'row')} added{known}, {plural(len(merged.refused), 'line')} refused"
        )
    return 1 if merged.refused else 0


@app.command("publish")
def publish_(
    board: Board,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder, or an earlier publication.")],
    runs: Runs = None,
    name: Name = None,
    json_: Json = False,
) -> int:
    """Write a folder for a static host: rows, page, pictures, recipes, versions, and the sums of all files.

    It opens from a disk without a network. The same rows, runs and versions give the same bytes.
    """
    from benchmarks import leaderboard
    from lhq_toolkit.board.publish import publish

    rows = leaderboard.read(board)
    groups, drawn = _gathered(board, rows, runs)
    files = publish(name or board.stem, rows, groups, drawn, out, __version__)
    if json_:
        print(json.dumps({"out": str(out), "rows": len(rows), "files": files}))
    else:
        print(
            f"{out}: {plural(len(files), 'file')}, {plural(len(drawn), 'run')} with pictures; open {out / 'index.html'}"
        )
    return 0


def _gathered(board: Path, rows: list[Row], runs: Path | None) -> tuple[list[Group], dict[Row, Drawn]]:
    """Groups of the rows, and what their runs draw."""
    from benchmarks import leaderboard
    from lhq_toolkit.board import pictures, view

    if runs is not None and not runs.is_dir():
        raise MisuseError(f"--runs {runs}: there is no such folder")
    there = runs or Path("out/benchmark") / board.stem
    drawn = pictures.drawn_below(there if there.is_dir() else None, leaderboard.latest(rows))
    return view.groups(rows, {row.recipe_hash: one.recipe for row, one in drawn.items()}), drawn
