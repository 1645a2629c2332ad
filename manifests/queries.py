"""Search queries for landscapes: the shipped list of 450, and lists of one's own in the same form."""

from __future__ import annotations

from pathlib import Path

from manifests.errors import MisuseError, SetupError

QUERIES = Path(__file__).parent / "queries.txt"  # the shipped list
LONGEST = 200  # characters; more is no search

_ERRORS_SHOWN = 5


def fold_query(text: str) -> str:
    """The form in which two queries are the same search: case folded, single spaces."""
    return " ".join(text.casefold().split())


def read_queries(path: Path = QUERIES) -> tuple[str, ...]:
    """The queries of a file in its order: one a line, spaces made single; blank lines and `#` lines are skipped.

    Raises SetupError, naming file and line, for a file that cannot be read or holds no query, a query that is too
    long or has characters no one types, or one that stands twice (but for case and spaces).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise MisuseError(f"--queries {path}: there is no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the list of queries {path} cannot be read: {error}") from error
    queries: list[str] = []
    first_line: dict[str, int] = {}
    errors: list[str] = []
    for number, line in enumerate(lines, start=1):
        query = " ".join(line.split())
        if not query or query.startswith("#"):
            continue
        if len(query) > LONGEST or not query.isprintable():
            errors.append(f"line {number}: a query has at most {LONGEST} printable characters")
        elif (folded := fold_query(query)) in first_line:
            errors.append(f"line {number}: {query!r} already stands in line {first_line[folded]}")
        else:
            first_line[folded] = number
            queries.append(query)
    if errors:
        more = f"; and {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
        raise SetupError(f"{path}: {'; '.join(errors[:_ERRORS_SHOWN])}{more}")
    if not queries:
        raise SetupError(f"{path} holds no query: write one a line")
    return tuple(queries)
