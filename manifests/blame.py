"""Whose fault it is: what goes wrong inside a plug-in is told with its package and version, not as a bug of ours."""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from manifests.errors import LhqError, PluginError
from manifests.plugins import Plugin, behind, everything, line

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_REMEDY = "report it to the authors of that package, with what --debug prints"


def told(error: BaseException) -> str | None:
    """An error that was raised inside a plug-in, as one line; None where none was at work."""
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return None
    plugins = everything()
    for frame, number in traceback.walk_tb(error.__traceback__):
        if (plugin := _of_module(plugins, frame.f_globals.get("__name__", ""))) is not None:
            where = f"{PurePath(frame.f_code.co_filename).name}, line {number}"
            return f"{plugin} failed with {line(error)} ({where}): {_REMEDY}"
    return None


def _of_module(plugins: Sequence[Plugin], module: str) -> Plugin | None:
    """The plug-in that a module holds, or else any of the package that it belongs to."""
    top = module.partition(".")[0]
    same = [one for one in plugins if one.target.partition(":")[0] == module]
    return next((one for one in (*same, *plugins) if one.target.partition(":")[0].partition(".")[0] == top), None)


def broken(kind: type, what: str) -> Exception:
    """The error to raise where what a class gave is not what its contract says."""
    plugin = behind(kind)
    return RuntimeError(f"{kind.__name__} {what}") if plugin is None else PluginError(f"{plugin} {what}: {_REMEDY}")


@contextlib.contextmanager
def naming() -> Iterator[None]:
    """PluginError for what is raised inside a plug-in, where the traceback is about to be lost."""
    try:
        yield
    except (LhqError, MemoryError):
        raise
    except Exception as error:
        if (text := told(error)) is None:
            raise
        raise PluginError(text) from error
