"""Short text files that people write by hand: lists, keys. Never more of one is read than a person could have meant."""

from __future__ import annotations

from pathlib import Path

from manifests.errors import MisuseError, SetupError

LARGEST = 16 * 1024**2  # bytes


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a UTF-8 text. LhqError, which calls it `what`, where there is no such text."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise SetupError(f"{what} {path} has more than {LARGEST:,} bytes: it is no list that a person wrote")
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:  # which holds the text
        raise SetupError(f"{what} {path} cannot be read: it is no text in UTF-8") from None
    except FileNotFoundError as error:
        raise MisuseError(f"{what} {path}: there is no such file") from error
    except (OSError, ValueError) as error:  # also a name that no file can have
        why = error.strerror if isinstance(error, OSError) else error
        raise SetupError(f"{what} {path} cannot be read: {why}") from error
