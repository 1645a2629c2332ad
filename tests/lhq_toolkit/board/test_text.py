"""Leaderboards as Markdown and LaTeX: whole tables, and no cell that is obeyed."""

from __future__ import annotations

import re

from boards import row

from lhq_toolkit import show
from lhq_toolkit.board import text, view

HOSTILE = {"model": r"a|b](http://x) <i> \input{x} $1 \n", "device": "\x1b[2Jcpu\n| new | row", "recipe_hash": "e" * 64}


def test_markdown_has_a_line_per_entry_with_as_many_cells_as_titles():
    told = text.markdown(view.groups([row(), row("stylegan2", 0.1), row(**HOSTILE)]))
    table = [line for line in told.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 3
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert len(cells) == 1
    assert "\x1b" not in told
    assert "<i>" not in told
    assert "| stylegan2 | 0.1 ± 0.01 | - |" in table[2]


def test_latex_has_as_many_columns_as_it_says_and_runs_no_command_of_a_cell():
    told = text.latex(view.groups([row(), row("stylegan2", 0.1), row(**HOSTILE)]))
    (spec,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", told)
    body = [line for line in told.splitlines() if line.endswith(r"\\")]
    assert len(body) == 4
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body} == {len(spec)}
    assert r"\input" not in told.replace(r"\textbackslash{}input", "")
    assert r"\$1" in told
    assert r"0.1 $\pm$ 0.01" in told


def test_a_table_for_each_group():
    groups = view.groups([row(), row("locogan", n_real=7)])
    assert text.markdown(groups).count("| model | fd |") == 2
    assert text.latex(groups).count(r"\end{table}") == 2
    assert text.markdown([]) == "no rows yet"


def test_a_terminal_gets_no_control_characters():
    assert "\x1b" not in show.leaderboard([row(**HOSTILE)])
