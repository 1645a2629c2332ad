"""The reference of the command line, from the program's own help: every command, argument, option and default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from lhq_toolkit.site.markdown import code, plain, table

_DEFAULT = re.compile(r"default: (?:\((.*)\)|([^;]*))(?:; )?")  # in brackets: words, not a value
_RANGES = ((r"(\S+)<=x<=(\S+)", r"\1 to \2"), (r"x>=(\S+)", r"\1 or more"), (r"x<=(\S+)", r"at most \1"))


def commands(app: typer.Typer, program: str) -> Mapping[str, Any]:
    """Every command by its full name, `lhq weights list` for one, in the order of the help; groups before their own."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for part, inner in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {part}", inner)

    return dict(walk(program, typer.main.get_command(app)))


def reference(app: typer.Typer, program: str = "lhq") -> str:
    """A section for each command, those of a group below it."""
    return "\n\n".join(_section(name, command) for name, command in commands(app, program).items())


def _section(name: str, command: Any) -> str:
    parts = ["#" * max(2, 1 + name.count(" ")) + f" {name}"]
    context = command.make_context(name, [], resilient_parsing=True)
    if not hasattr(command, "commands"):
        parts.append(f"```text\n{_usage(name, command, context)}\n```")
    if command.help:
        parts.append(plain(inspect.cleandoc(command.help)))
    rows = [_row(one, context) for one in command.params if not one.hidden]
    if rows:
        parts.append(table(("", "what it says", "default", "limits"), rows))
    return "\n\n".join(parts)


def _usage(name: str, command: Any, context: Any) -> str:
    """The command with its arguments and the options it cannot do without."""
    words = [name]
    for one in command.params:
        left = _left(one, context)
        if one.param_type_name == "argument":
            words.append(left.split()[0])
        elif one.required:
            words.append(f"{one.opts[0]} {left.rpartition('--')[2].partition(' ')[2]}")
    return " ".join([*words, "[OPTIONS]"])


def _row(parameter: Any, context: Any) -> tuple[str, str, str, str]:
    said: str = parameter.get_help_record(context)[1]
    text = parameter.help or ""
    facts = said[len(text) :].strip().removeprefix("[").removesuffix("]")
    default = ""
    if found := _DEFAULT.search(facts):
        words, value = found.groups()
        default = words or code(value)
        facts = facts[found.end() :]
    for pattern, limits in _RANGES:
        facts = re.sub(pattern, limits, facts)
    return code(_left(parameter, context)), plain(text), default, facts


def _left(parameter: Any, context: Any) -> str:
    """An argument's name, or an option's names and what stands for its value."""
    left: str = parameter.get_help_record(context)[0]
    return left.replace(" range>", ">")
