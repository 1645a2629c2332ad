"""Which exports made before hold photos that are taken down, as their own lists of pictures tell.

The dataset, and so its list of exports, may be a stranger's. A folder on this machine is looked into; an address is
asked only where the person names it, for asking reaches into networks, and with this user's credentials.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TextIO

from manifests import plain_json
from manifests.errors import LhqError, MisuseError
from manifests.lines import Lines
from pipelines.export.place import Remote, is_url
from pipelines.export.rights import TABLE

Noted = Mapping[str, Any]  # a line of exports.jsonl


def noted(root: Path) -> Iterator[Noted]:
    """The lines of a dataset's exports.jsonl, without those that are damaged."""
    path = root / "exports.jsonl"
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as stream:
        lines = Lines(stream, str(path))
        for line in lines:
            lines.row_ends()
            with contextlib.suppress(ValueError):
                yield plain_json.mapping(line)


def check(exports: Sequence[Noted], look_into: Sequence[str]) -> None:
    """MisuseError for an address to look into that no export went to."""
    addresses = sorted({out for out in map(_out, exports) if is_url(out)})
    for url in look_into:
        if url not in addresses:
            known = f"there are: {', '.join(addresses)}" if addresses else "there is none to any address"
            raise MisuseError(f"--look-into {url}: no export of this dataset went there; {known}")


def holding(exports: Sequence[Noted], photo_ids: Set[str], look_into: Sequence[str]) -> list[dict[str, Any]]:
    """Exports that hold these photos, or may: each line with `holds`, the pictures by photo id; None: not known.

    And with `asked`: false where that is because it lies at an address that is not among those to look into.
    """
    found = []
    for facts in exports:
        out = _out(facts)
        asked = not is_url(out) or out in look_into
        holds = _held(out, photo_ids) if asked else None
        if holds is None or holds:
            found.append({**facts, "holds": holds, "asked": asked})
    return found


def _out(facts: Noted) -> str:
    return str(facts.get("out", ""))


def _held(out: str, photo_ids: Set[str]) -> dict[str, list[str]] | None:
    try:
        with _list_of(out) as stream:
            lines = Lines(stream, out)
            cells = csv.reader(lines)
            header = next(cells)
            name, file = header.index("photo_id"), header.index("file")
            found: dict[str, list[str]] = {}
            for row in cells:
                lines.row_ends()
                if row[name] in photo_ids:
                    found.setdefault(row[name], []).append(row[file])
            return found
    except (OSError, LhqError, ValueError, IndexError, csv.Error, StopIteration):  # also one that is empty, or cut off
        return None


@contextlib.contextmanager
def _list_of(out: str) -> Iterator[TextIO]:
    """The text of an export's list; OSError where there is none to read."""
    if is_url(out):
        content = Remote.open(out).read(TABLE)
        if content is None:
            raise FileNotFoundError(TABLE)
        yield io.StringIO(content.decode(), newline="")
        return
    path = Path(out) / TABLE
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(path)
    with path.open(encoding="utf-8", newline="") as stream:
        yield stream
