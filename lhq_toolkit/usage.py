"""What is wrong with a command line, in one line of our voice: typer's errors and pydantic's behind them."""

from __future__ import annotations

import re
from typing import Any

from typer import TyperException


def told(error: TyperException) -> str:
    """What was said, what is wrong with it and where to read on; the whole help where no command was named."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        return error.format_message()
    wrong = _wrong(kind, error)
    if context := getattr(error, "ctx", None):
        wrong += f"{' See' if wrong.endswith('?') else '; see'}: {context.command_path} --help"
    return f"lhq: {wrong}"


def _wrong(kind: str, error: Any) -> str:
    if kind == "MissingParameter":
        return f"{_called(error.param)} is missing"
    if kind == "BadParameter":
        return _misfit(error)
    if kind == "NoSuchOption":
        meant = f"; did you mean {' or '.join(sorted(error.possibilities))}?" if error.possibilities else ""
        return f"no such option {error.option_name}{meant}"
    said = error.format_message().rstrip(".").replace(". Did you", "; did you")
    return str(said[:1].lower() + said[1:])


def _misfit(error: Any) -> str:
    """A value that an option or argument cannot take."""
    from pydantic import ValidationError

    from manifests.settings import must, shown

    name = _called(error.param) if error.param else ""
    if isinstance(error.__cause__, ValidationError):
        one = error.__cause__.errors()[0]
        wanted = re.sub(r"^'.*' is not one of (.*)\.$", r"it must be one of \1", must(one))
        return f"{name} {shown(one['input'])}: {wanted}"
    return f"{name}: {error.message.rstrip('.')}"


def _called(parameter: Any) -> str:
    """As the user types it: an option's longest name, or what stands for an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper()).strip("[].")
    return str(max(parameter.opts, key=len))
