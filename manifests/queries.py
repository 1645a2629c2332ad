"""Search queries for landscapes: the shipped list of 450, and lists of one's own in the same form."""

from __future__ import annotations

from pathlib import Path

from manifests import lists
from manifests.errors import SetupError

QUERIES = Path(__file__).parent / "queries.txt"  # the shipped list
LONGEST = 200  # characters; more is no search


def fold_query(text: str) -> str:
    """The form in which two queries are the same search: case folded, single spaces."""
    return " ".join(text.casefold().split())


def read_queries(path: Path = QUERIES) -> tuple[str, ...]:
    """The queries of a file in its order: one a line, spaces made single; blank lines and `#` lines are skipped.

    Raises SetupError, naming file and line, for a file that cannot be read or holds no query, a query that is too
    long or has characters no one types, or one that stands twice (but for case and spaces).
    """
    queries: list[str] = []
    first_line: dict[str, int] = {}
    errors: list[str] = []
    for number, text in lists.entries(path, "list of queries"):
        query = " ".join(text.split())
        if len(query) > LONGEST or not query.isprintable():
            errors.append(f"line {number}: a query has at most {LONGEST} printable characters")
        elif (folded := fold_query(query)) in first_line:
            errors.append(f"line {number}: {query!r} already stands in line {first_line[folded]}")
        else:
            first_line[folded] = number
            queries.append(query)
    lists.refuse(path, errors)
    if not queries:
        raise SetupError(f"{path} holds no query: write one a line")
    return tuple(queries)
