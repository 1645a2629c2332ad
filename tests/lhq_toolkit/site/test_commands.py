"""The reference of commands holds all there is, as the program has it."""

from __future__ import annotations

import re

import pytest
import typer

from lhq_toolkit import cli
from lhq_toolkit.site import commands


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The text below each heading of the whole reference."""
    pieces = re.split(r"^#+ (lhq.*)$", commands.reference(cli.app), flags=re.M)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def test_every_command_stands_in_it_with_every_option_and_what_it_says(sections):
    every = commands.commands(cli.app, "lhq")
    assert list(sections) == list(every)
    assert {"lhq", "lhq crawl", "lhq weights fetch", "lhq leaderboard publish"} <= set(sections)
    for name, command in every.items():
        for one in command.params:
            assert one.help, f"{name} does not say what {one.name} is"
            for option in one.opts if one.param_type_name == "option" else []:
                assert f"`{option}" in sections[name] or f" {option}" in sections[name], (name, option)


def test_no_cell_of_it_is_lost_and_nothing_of_the_help_is_taken_for_markdown(sections):
    for name, text in sections.items():
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows), name
        outside = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
        assert not re.search(r"(?<!\\)[*_<\[]", outside), name


def test_names_defaults_limits_and_groups_of_a_small_program():
    app, inner = typer.Typer(add_completion=False), typer.Typer(help="Two of a kind.")

    @app.command()
    def draw(
        place: str = typer.Argument(..., metavar="PLACE", help="Where *all* goes."),
        wide: int = typer.Option(3, min=1, max=9, help="How wide; see --tall."),
        tall: float = typer.Option(..., min=0.5, help="How tall, `a|b`."),
        quick: bool = typer.Option(False, "--quick/--slow", help="Or not."),
        secret: bool = typer.Option(False, hidden=True, help="Nobody's."),
    ) -> None:
        """Draw at a place."""

    @inner.command()
    def one() -> None:
        """The one."""

    app.add_typer(inner, name="kind")
    text = commands.reference(app, "prog")
    assert re.findall(r"^(#+) (.+)$", text, re.M) == [
        ("##", "prog"),
        ("##", "prog draw"),
        ("##", "prog kind"),
        ("###", "prog kind one"),
    ]
    assert "prog draw PLACE --tall <float> [OPTIONS]" in text
    assert r"Where \*all\* goes." in text
    assert "| `--wide <int>` | How wide; see `--tall`. | `3` | 1 to 9 |" in text
    assert r"| `--tall <float>` | How tall, `a\|b`. |  | 0.5 or more; required |" in text
    assert "| `--quick / --slow` | Or not. | `slow` |" in text
    assert "secret" not in text
    assert "Two of a kind." in text
    assert "The one." in text
