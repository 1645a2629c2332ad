"""What other packages add to the toolkit: names from their entry points, code only where a name is asked for.

A package that is installed beside the toolkit declares what it adds in its own pyproject.toml, in one group of entry
points for each kind of thing:

    [project.entry-points."lhq.filters"]
    sharpness = "my_package.sharpness:Sharpness"

Which names there are is read from the metadata of installed packages; a module is imported when somebody asks for its
name, or for a list of all. Nothing is ever imported because of where a dataset or a run says that it lies: what they
hold are names, looked up among what is installed. Ours are never replaced: a name that one of ours has stays ours.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from manifests.errors import MisuseError, SetupError

NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")  # it stands in names of tables and files, and on command lines
LONGEST = 40


class Contract(Protocol):
    """What the classes of every kind have in common."""

    name: ClassVar[str]

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with the class as it is declared; None where nothing is seen to be."""


T = TypeVar("T", bound=Contract)
_classes: dict[type, Plugin] = {}  # what was loaded


@dataclass(frozen=True)
class Plugin:
    """One entry point of another package. `group`, `target`: as it declares them."""

    name: str
    group: str
    target: str
    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.name!r} of the package {self.package} {self.version} (entry point {self.group}: {self.target})"


@dataclass(frozen=True)
class Group(Generic[T]):
    """One kind of thing: its names, ours first, and the classes of those that other packages add.

    `word` is what messages call it, `entry_points` the group that packages declare it in, `contract` the class that
    theirs must be derived from, as module:class, `ours` the names that need no package.
    """

    word: str
    entry_points: str
    contract: str
    ours: tuple[str, ...]

    def plugins(self) -> Sequence[Plugin]:
        """Every entry point that installed packages declare in this group, also wrong ones, by name."""
        return _declared(self.entry_points, tuple(sys.path))

    def names(self) -> tuple[str, ...]:
        """Ours in their order, then those of other packages by name. Imports nothing."""
        added = {one.name for one in self.plugins() if self._misnamed(one) is None}
        return (*self.ours, *sorted(added))

    def plugin(self, name: str, package: str | None = None, version: str | None = None) -> Plugin:
        """The entry point behind a name that is not ours. Imports nothing.

        `package`, and its `version`: the one that is known to have had it. Raises SetupError where it is absent, or
        cannot be used for a reason that its metadata tell; MisuseError where no package is known and the name means
        nothing.
        """
        found = [one for one in self.plugins() if one.name == name]
        if package is not None and all(one.package != package for one in found):
            instead = f"; there is one of {found[0].package}" if found else ""
            whose = f"{package} {version}" if version else package
            raise SetupError(
                f"{self.word} {name!r} is of the package {whose}, which is not installed here (no entry point "
                f"{name!r} of it in {self.entry_points}{instead}); install it: pip install {package}"
            )
        if not found:
            raise MisuseError(
                f"no {self.word} is called {name!r}; there are: {', '.join(self.names()) or 'none'} "
                f"(other packages declare theirs as entry points in {self.entry_points})"
            )
        if (wrong := self._misnamed(found[0])) is not None:
            raise SetupError(self._told(found[0], wrong))
        return found[0]

    def load(self, name: str, package: str | None = None) -> type[T]:
        """The class behind a name that is not ours; its module is imported. Raises as `plugin` does.

        And SetupError, which names package, entry point and remedy, where it does not import or is no such class.
        """
        from importlib.metadata import EntryPoint

        plugin = self.plugin(name, package)
        try:
            found: object = EntryPoint(plugin.name, plugin.target, plugin.group).load()
        except (Exception, SystemExit) as error:  # whatever the code of others does
            raise SetupError(self._told(plugin, f"cannot be imported ({line(error)})")) from error
        contract = self._contract()
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise SetupError(self._told(plugin, f"is not derived from {self.contract}"))
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise SetupError(self._told(plugin, f"does not implement {', '.join(missing)}"))
        if (said := getattr(found, "name", None)) != name:
            raise SetupError(self._told(plugin, f"calls itself {said!r}: both names must be the same"))
        if (wrong := found.problem()) is not None:
            raise SetupError(self._told(plugin, wrong))
        _classes[found] = plugin
        return found

    def _contract(self) -> type[T]:
        module, _, name = self.contract.partition(":")
        found: type[T] = getattr(importlib.import_module(module), name)
        return found

    def problem(self, plugin: Plugin) -> str | None:
        """What is wrong with a plug-in, and what to do, in one line; it is imported. None where nothing is."""
        if (wrong := self._misnamed(plugin)) is not None:
            return self._told(plugin, wrong)
        try:
            self.load(plugin.name, plugin.package)
        except SetupError as error:
            return str(error)
        return None

    def _misnamed(self, plugin: Plugin) -> str | None:
        """What keeps a name from being used at all."""
        if not NAME.fullmatch(plugin.name) or len(plugin.name) > LONGEST:
            return f"has no valid name: lower-case letters and digits, '-' and '_' between them, {LONGEST} at most"
        if plugin.name in self.ours:
            return f"has the name of a built-in {self.word}, which is used in its place: it needs another name"
        others = [one for one in self.plugins() if one.name == plugin.name and one.package != plugin.package]
        if others:
            return f"has the name of a {self.word} of the package {others[0].package}: one of them has to go"
        return None

    def _told(self, plugin: Plugin, wrong: str) -> str:
        return f"{self.word} {plugin} {wrong}; mend that package or remove it: pip uninstall {plugin.package}"


def misdeclared(kind: type, settings: type | None = None, *, version: bool = True) -> str | None:
    """What lacks of what most contracts ask a class to state: a version, a `settings_type` derived from that one."""
    if version and not isinstance(getattr(kind, "version", None), int):
        return "states no version, a whole number"
    stated = getattr(kind, "settings_type", None)
    if settings is not None and not (isinstance(stated, type) and issubclass(stated, settings)):
        return f"states no settings_type derived from {settings.__name__}"
    return None


def behind(kind: type) -> Plugin | None:
    """The entry point that a class was loaded from; None for a class of ours."""
    return _classes.get(kind)


def everything() -> Sequence[Plugin]:
    """Every entry point that installed packages declare for the toolkit, whatever it adds."""
    from importlib import metadata

    groups = sorted(group for group in metadata.entry_points().groups if group.startswith("lhq."))
    return [plugin for group in groups for plugin in _declared(group, tuple(sys.path))]


@functools.lru_cache(maxsize=64)
def _declared(group: str, path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """The entry points of a group; kept for each search path, for looking takes a hundredth of a second."""
    del path  # only the key
    from importlib import metadata  # as slow to import as the rest of `lhq --help`

    found = [
        Plugin(one.name, one.group, one.value, one.dist.name, one.dist.version)
        for one in metadata.entry_points(group=group)
        if one.dist is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.name, one.package)))


def line(error: BaseException) -> str:
    """An error of any kind in one line."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
