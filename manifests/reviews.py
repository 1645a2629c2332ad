"""Human verdicts: `reviews.sqlite`, an append-only history of who decided what of which photo, and what stands now.

Nothing is overwritten: an undo is a row too, that says what stood before. Several reviewers have a verdict each; of one
photo 'reject' outweighs 'keep', whoever came first, and a flag only asks to look again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from manifests.databases import naming, write_ahead
from manifests.errors import SetupError
from manifests.locks import on_local_disk

NAME = "reviews.sqlite"
KEEP, REJECT, FLAG, UNDECIDED = "keep", "reject", "flag", "undecided"
VERDICTS = (KEEP, REJECT, FLAG, UNDECIDED)
FORMAT = 1  # of the database; a newer one is refused
BUSY_SECONDS = 30.0  # a verdict is written in milliseconds
_PACE = 50  # latest decisions that tell how fast a reviewer is
_BREAK = 120.0  # seconds: a longer gap between two decisions was a break

_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    photo_id TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('keep', 'reject', 'flag', 'undecided')),
    decided_at TEXT NOT NULL,
    undoes INTEGER UNIQUE
);
CREATE INDEX IF NOT EXISTS decisions_of ON decisions (reviewer, photo_id);
"""
_COLUMNS = "number, photo_id, reviewer, verdict, decided_at, undoes"


@dataclass(frozen=True)
class Decision:
    """One row of the history; `undoes` is the number of the decision it takes back."""

    number: int
    photo_id: str
    reviewer: str
    verdict: str
    decided_at: datetime
    undoes: int | None = None


@dataclass(frozen=True)
class Verdicts:
    """What stands: of each photo the latest decision of each reviewer, those that say 'undecided' left out."""

    standing: Mapping[str, Mapping[str, Decision]] = field(default_factory=dict)  # photo_id -> reviewer -> decision

    def of(self, photo_id: str) -> str | None:
        """The verdict on a photo, of all reviewers together; None where there is none."""
        return combined(self.standing.get(photo_id, {}))

    def photos(self, verdict: str) -> list[str]:
        """Photos with this verdict, sorted."""
        return sorted(photo_id for photo_id, given in self.standing.items() if combined(given) == verdict)

    def sha256(self) -> str | None:
        """Hash of the verdicts that count (keep and reject, by photo); None where there are none."""
        counting = [(one, self.of(one)) for one in sorted(self.standing)]
        lines = [f"{photo_id}\t{verdict}\n" for photo_id, verdict in counting if verdict in (KEEP, REJECT)]
        return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


def combined(given: Mapping[str, Decision]) -> str | None:
    """One verdict of several: a reject outweighs a keep, and either a flag."""
    said = {decision.verdict for decision in given.values()}
    return next((verdict for verdict in (REJECT, KEEP, FLAG) if verdict in said), None)


def disagree(given: Mapping[str, Decision]) -> bool:
    """Whether one reviewer keeps what another rejects."""
    return {KEEP, REJECT} <= {decision.verdict for decision in given.values()}


def load(root: Path) -> Verdicts:
    """The verdicts of the dataset at `root` as they stand; waits for no one."""
    path = root / NAME
    if not path.exists():
        return Verdicts()
    with contextlib.closing(_connect_to_read(path)) as database, _naming(path):
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:  # made this moment, and empty
            return Verdicts()
        _check_format(database, path)
        newest = "SELECT max(number) FROM decisions GROUP BY reviewer, photo_id"
        rows = database.execute(f"SELECT {_COLUMNS} FROM decisions WHERE number IN ({newest})").fetchall()  # noqa: S608
        decisions = [_decision(row) for row in rows]
    standing: dict[str, dict[str, Decision]] = {}
    for decision in decisions:
        if decision.verdict != UNDECIDED:
            standing.setdefault(decision.photo_id, {})[decision.reviewer] = decision
    return Verdicts(standing)


class Reviews:
    """The database, open to decide and undo; what stands is kept in memory and follows what others write.

    A context manager; safe to use from several threads, beside other processes. When a method that writes returns,
    what it wrote survives a power cut.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / NAME
        self._lock = threading.RLock()
        self._database = _open(self.path, on_local_disk(root))
        self.forget()

    def forget(self) -> None:
        """Read everything anew, as after a take-down, which deletes rows."""
        with self._lock:
            self._standing: dict[str, dict[str, Decision]] = {}
            self._copy: dict[str, dict[str, Decision]] | None = None
            self._decided: Counter[str] = Counter()
            self._disagreeing: set[str] = set()
            self._times: dict[str, list[datetime]] = {}
            self._seen = 0

    def standing(self) -> Mapping[str, Mapping[str, Decision]]:
        """What stands now, others' decisions included: photo_id -> reviewer -> decision. It changes no more."""
        with self._lock:
            self._catch_up()
            if self._copy is None:
                self._copy = dict(self._standing)
            return self._copy

    def decided(self, reviewer: str) -> int:
        """Photos on which the reviewer has a verdict."""
        with self._lock:
            self._catch_up()
            return self._decided[reviewer]

    def disagreements(self) -> int:
        """Photos that one reviewer keeps and another rejects."""
        with self._lock:
            self._catch_up()
            return len(self._disagreeing)

    def _catch_up(self) -> None:
        with _naming(self.path):
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM decisions WHERE number > ? ORDER BY number",  # noqa: S608
                (self._seen,),
            ).fetchall()
            decisions = [_decision(row) for row in rows]
        for decision in decisions:
            self._follow(decision)

    def decide(
        self, photo_id: str, reviewer: str, verdict: str, token: str, allowed: Callable[[], bool] = lambda: True
    ) -> Decision | None:
        """Write a decision. The same token again, as of an answer that was lost, writes nothing.

        `allowed` is asked when no one else can write any more; where it says no, nothing is written, and None returned.
        """
        with self._writing():
            if not allowed():
                return None
            return self._with_token(token) or self._write(token, photo_id, reviewer, verdict, None)

    def undo(self, reviewer: str, token: str) -> Decision | None:
        """Take back the reviewer's last decision that still stands in the history; None where there is none left."""
        with self._writing():
            if known := self._with_token(token):
                return known
            last = self._last(reviewer)
            if last is None:
                return None
            before = self._database.execute(
                "SELECT verdict FROM decisions WHERE reviewer = ? AND photo_id = ? AND number < ? "
                "ORDER BY number DESC LIMIT 1",
                (reviewer, last.photo_id, last.number),
            ).fetchone()
            return self._write(token, last.photo_id, reviewer, before[0] if before else UNDECIDED, last.number)

    def last(self, reviewer: str) -> Decision | None:
        """The decision that an undo would take back."""
        with self._lock, _naming(self.path):
            return self._last(reviewer)

    def seconds_each(self, reviewer: str) -> float | None:
        """Median seconds between the reviewer's latest decisions, breaks left out; None where there are too few."""
        with self._lock:
            self._catch_up()
            times = self._times.get(reviewer, [])
            gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
        gaps = sorted(gap for gap in gaps if 0 <= gap <= _BREAK)
        return gaps[len(gaps) // 2] if gaps else None

    def __enter__(self) -> Reviews:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, _naming(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _write(self, token: str, photo_id: str, reviewer: str, verdict: str, undoes: int | None) -> Decision:
        now = datetime.now(UTC)
        row = (token, photo_id, reviewer, verdict, now.isoformat(timespec="microseconds"), undoes)
        insert = "INSERT INTO decisions (token, photo_id, reviewer, verdict, decided_at, undoes) VALUES (?,?,?,?,?,?)"
        number = self._database.execute(insert, row).lastrowid
        return Decision(int(number or 0), photo_id, reviewer, verdict, now, undoes)

    def _with_token(self, token: str) -> Decision | None:
        return self._one("token = ?", token)

    def _last(self, reviewer: str) -> Decision | None:
        standing = "undoes IS NULL AND number NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)"
        return self._one(
            f"+reviewer = ? AND {standing} ORDER BY number DESC LIMIT 1", reviewer
        )  # +: newest first, no sort

    def _one(self, condition: str, value: str) -> Decision | None:
        found = self._database.execute(f"SELECT {_COLUMNS} FROM decisions WHERE {condition}", (value,)).fetchone()  # noqa: S608
        return None if found is None else _decision(found)

    def _follow(self, decision: Decision) -> None:
        before = self._standing.get(decision.photo_id, {})
        given = {name: one for name, one in before.items() if name != decision.reviewer}
        self._decided[decision.reviewer] -= len(before) - len(given)
        if decision.verdict != UNDECIDED:
            given[decision.reviewer] = decision
            self._decided[decision.reviewer] += 1
        if given:
            self._standing[decision.photo_id] = given
        else:
            self._standing.pop(decision.photo_id, None)
        (self._disagreeing.add if disagree(given) else self._disagreeing.discard)(decision.photo_id)
        self._copy = None
        if decision.undoes is None:
            self._times[decision.reviewer] = [*self._times.get(decision.reviewer, [])[1 - _PACE :], decision.decided_at]
        self._seen = decision.number


def _decision(row: tuple[int, str, str, str, str, int | None]) -> Decision:
    """The decision of a row. Raises sqlite3.DatabaseError for one that no review wrote."""
    number, photo_id, reviewer, verdict, decided_at, undoes = row
    try:
        moment = datetime.fromisoformat(decided_at)
        if moment.tzinfo is None or verdict not in VERDICTS or not isinstance(photo_id, str):
            raise ValueError(verdict)
    except (TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"row {number} is no decision") from error
    return Decision(number, photo_id, str(reviewer), verdict, moment, undoes)


def _open(path: Path, local: bool) -> sqlite3.Connection:
    """The database to write to, made where there is none: WAL on a local disk, a rollback journal elsewhere."""
    with _naming(path):
        database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            _check_format(database, path)
            if local:
                write_ahead(database, BUSY_SECONDS)
            elif database.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
                raise SetupError(f"{path} is open on the machine that holds it; close the review there first")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")
            database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
        except BaseException:
            database.close()
            raise
    return database


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """The database to read from; where nothing may be written it can have no writer either."""
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    how = "mode=rw" if writable else "mode=ro&immutable=1"
    with _naming(path):
        return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", timeout=BUSY_SECONDS, uri=True)


def _check_format(database: sqlite3.Connection, path: Path) -> None:
    made_with = database.execute("PRAGMA user_version").fetchone()[0]
    if made_with > FORMAT:
        raise SetupError(f"{path} has format {made_with}, this toolkit reads {FORMAT}: upgrade the toolkit")


def _naming(path: Path) -> contextlib.AbstractContextManager[None]:
    return naming(path, "nothing was changed: mend that, or restore it")
