"""dataset.json: what a dataset says of itself. Its format is looked at first, for the rest may change with it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

from manifests import plain_json, schema
from manifests.errors import MisuseError, SetupError

FILE = "dataset.json"
_LONGEST_SALT = 64  # bytes that BLAKE2b takes as a key


def read(root: Path) -> dict[str, Any]:
    """The facts of the dataset at `root`: `name`, `generations` as numbers by table, `salt` as hexadecimal digits
    (empty before the first take-down of an old dataset), and what else is written there.

    Raises MisuseError where there is no dataset, SetupError where a newer toolkit made it, or the file is damaged.
    """
    path = root / FILE
    if not path.is_file():
        if root.is_file():
            raise MisuseError(f"{root} is a file and not a dataset: name the folder that holds one")
        raise MisuseError(
            f"{root} is not a dataset (no {FILE}); make one with: lhq crawl {quote(str(root))} --source ..."
        )
    try:
        facts = plain_json.mapping(path.read_bytes())
        made_with = int(facts["format"])
        if made_with > schema.FORMAT:
            raise SetupError(
                f"{root} has format {made_with}, made by LHQ Toolkit {facts.get('toolkit')}; this one reads "
                f"formats up to {schema.FORMAT}: upgrade the toolkit"
            )
        generations = {str(name): int(number) for name, number in facts["generations"].items()}
        salt = str(facts.get("salt", ""))
        if len(bytes.fromhex(salt)) > _LONGEST_SALT:
            raise ValueError("a salt that is too long")
        return {**facts, "name": str(facts.get("name", "")), "generations": generations, "salt": salt}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise SetupError(f"{path} is damaged ({error!r}); restore it from a backup") from error
