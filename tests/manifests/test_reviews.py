"""Verdicts are kept whatever happens, undone one by one, and of several reviewers a reject outweighs a keep."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import removal, reviews
from manifests.errors import SetupError
from manifests.reviews import FLAG, KEEP, REJECT, UNDECIDED, Reviews, load


def fill(root: Path, *decisions: tuple[str, str, str]) -> None:
    with Reviews(root) as book:
        for number, (photo_id, reviewer, verdict) in enumerate(decisions):
            book.decide(photo_id, reviewer, verdict, f"token {number} {photo_id}")


def test_a_dataset_without_reviews_has_none_and_reading_makes_no_file(tmp_path):
    assert load(tmp_path).standing == {}
    assert load(tmp_path).sha256() is None
    assert list(tmp_path.iterdir()) == []


def test_the_latest_decision_of_each_reviewer_stands_with_name_and_time(tmp_path):
    fill(tmp_path, ("a", "anna", KEEP), ("a", "anna", FLAG), ("a", "bert", REJECT), ("b", "bert", KEEP))
    standing = load(tmp_path).standing
    assert {name: one.verdict for name, one in standing["a"].items()} == {"anna": FLAG, "bert": REJECT}
    assert list(standing["b"]) == ["bert"]
    assert standing["a"]["bert"].decided_at.utcoffset() is not None


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ((KEEP,), KEEP),
        ((KEEP, REJECT), REJECT),
        ((REJECT, KEEP), REJECT),
        ((FLAG, KEEP), KEEP),
        ((FLAG,), FLAG),
        ((UNDECIDED,), None),
        ((UNDECIDED, REJECT), REJECT),
    ],
)
def test_a_reject_outweighs_a_keep_and_either_a_flag(tmp_path, given_, wanted):
    fill(tmp_path, *(("a", f"reviewer {at}", verdict) for at, verdict in enumerate(given_)))
    assert load(tmp_path).of("a") == wanted
    with Reviews(tmp_path) as book:
        assert book.disagreements() == ({KEEP, REJECT} <= set(given_))


def test_the_hash_is_of_the_verdicts_that_count_alone(tmp_path):
    (tmp_path / "x").mkdir()
    fill(tmp_path / "x", ("a", "anna", KEEP), ("b", "anna", REJECT))
    first = load(tmp_path / "x").sha256()
    for name, others in {
        "other order and people": (("b", "bert", REJECT), ("a", "anna", KEEP)),
        "flags": (("a", "anna", KEEP), ("b", "anna", REJECT), ("c", "anna", FLAG)),
        "outweighed": (("a", "anna", KEEP), ("b", "anna", REJECT), ("b", "bert", KEEP)),
    }.items():
        (tmp_path / name).mkdir()
        fill(tmp_path / name, *others)
        assert load(tmp_path / name).sha256() == first, name
    fill(tmp_path / "x", ("c", "anna", KEEP))
    assert load(tmp_path / "x").sha256() != first


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["anna", "bert"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([KEEP, REJECT, FLAG, UNDECIDED, "undo"]),
    ),
    max_size=15,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(ACTS)
def test_undo_goes_back_decision_by_decision_each_reviewer_for_themselves(tmp_path_factory, acts):
    root = tmp_path_factory.mktemp("undo")
    past: dict[str, list[dict[str, str]]] = {"anna": [{}], "bert": [{}]}  # each reviewer's states so far
    with Reviews(root) as book, Reviews(root) as other:
        for number, (reviewer, photo_id, act) in enumerate(acts):
            states = past[reviewer]
            if act == "undo":
                done = book.undo(reviewer, f"token {number}")
                assert (done is None) == (len(states) == 1)
                if done is not None:
                    states.pop()
            else:
                book.decide(photo_id, reviewer, act, f"token {number}")
                now = {**states[-1], photo_id: act}
                states.append({one: verdict for one, verdict in now.items() if verdict != UNDECIDED})
            for view in (book.standing(), other.standing(), load(root).standing):
                for name, history in past.items():
                    mine = {one: said[name].verdict for one, said in view.items() if name in said}
                    assert mine == history[-1]
            for one in (book, other):
                assert one.decided(reviewer) == len(states[-1])


def test_nothing_of_the_history_is_overwritten(tmp_path):
    with Reviews(tmp_path) as book:
        book.decide("a", "anna", KEEP, "token 1")
        book.decide("a", "anna", REJECT, "token 2")
        book.undo("anna", "token 3")
    with sqlite3.connect(tmp_path / reviews.NAME) as database:
        told = database.execute("SELECT photo_id, verdict, undoes FROM decisions ORDER BY number").fetchall()
    database.close()
    assert told == [("a", KEEP, None), ("a", REJECT, None), ("a", KEEP, 2)]


def test_what_is_sent_twice_counts_once(tmp_path):
    with Reviews(tmp_path) as book:
        book.decide("a", "anna", KEEP, "token a")
        first = book.decide("b", "anna", REJECT, "token b")
        again = book.decide("b", "anna", REJECT, "token b")
        assert (first and first.number) == (again and again.number)
        undone = book.undo("anna", "token c")
        assert book.undo("anna", "token c") == undone
        assert book.decided("anna") == 1, "a second undo would have taken the first decision back"


def test_what_is_not_allowed_when_it_comes_to_writing_is_not_written(tmp_path):
    with Reviews(tmp_path) as book:
        assert book.decide("a", "anna", KEEP, "token", allowed=lambda: False) is None
        assert book.standing() == {}
        assert book.decide("a", "anna", KEEP, "token") is not None


def test_the_pace_is_the_median_gap_without_breaks(tmp_path):
    fill(tmp_path, *((str(at), "anna", KEEP) for at in range(5)))
    times = ["00:00:00", "00:00:02", "00:00:05", "03:00:00", "03:00:10"]  # gaps of 2, 3, a break, 10
    with sqlite3.connect(tmp_path / reviews.NAME) as database:
        for number, time in enumerate(times, 1):
            stamp = f"2026-01-01T{time}.000000+00:00"
            database.execute("UPDATE decisions SET decided_at = ? WHERE number = ?", (stamp, number))
    database.close()
    with Reviews(tmp_path) as book:
        assert book.seconds_each("anna") == 3.0
        assert book.seconds_each("bert") is None


def test_two_at_once_lose_nothing_and_see_each_other(tmp_path):
    Reviews(tmp_path).__exit__(None, None, None)
    with Reviews(tmp_path) as book:

        def work(name: str) -> None:
            with Reviews(tmp_path) as own:
                for at in range(25):
                    own.decide(f"p{at}", name, KEEP if name == "anna" else REJECT, f"{name} token {at}")

        threads = [threading.Thread(target=work, args=(name,)) for name in ("anna", "bert")]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            load(tmp_path)  # a reader between them
        for thread in threads:
            thread.join()
        assert (book.decided("anna"), book.decided("bert"), book.disagreements()) == (25, 25, 25)


KILLED = """
import sys
from pathlib import Path
from manifests.reviews import Reviews
with Reviews(Path(sys.argv[1])) as book:
    for at in range(10_000):
        book.decide(f"p{at}", "anna", "keep", f"token {at}")
        print(at, flush=True)
"""


@pytest.mark.slow
def test_what_was_answered_survives_a_kill(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(40):
        said = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    said = max([said, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
    process.wait()
    process.stdout.close()
    kept = set(load(tmp_path).standing)
    assert {f"p{at}" for at in range(said + 1)} <= kept


def test_off_local_disks_it_has_a_rollback_journal_and_on_them_wal(tmp_path, monkeypatch):
    for local, mode in ((True, "wal"), (False, "delete")):
        monkeypatch.setattr(reviews, "on_local_disk", lambda _, local=local: local)
        fill(tmp_path, (f"photo {mode}", "anna", KEEP))
        with sqlite3.connect(tmp_path / reviews.NAME) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == (mode,)
        database.close()
        assert len(load(tmp_path).standing) == (1 if local else 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_dataset_that_may_only_be_read_tells_its_verdicts(tmp_path):
    fill(tmp_path, ("a", "anna", KEEP))
    tmp_path.chmod(0o500)
    assert load(tmp_path).of("a") == KEEP
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look at" * 40, b"SQLite format 3\0" + b"?" * 5000]
)
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path, content):
    path = tmp_path / reviews.NAME
    path.write_bytes(content)
    for open_it in (load, Reviews):
        with pytest.raises(SetupError, match=reviews.NAME):
            open_it(tmp_path)
    assert path.read_bytes() == content


def test_a_newer_format_is_refused(tmp_path):
    fill(tmp_path, ("a", "anna", KEEP))
    with sqlite3.connect(tmp_path / reviews.NAME) as database:
        database.execute(f"PRAGMA user_version = {reviews.FORMAT + 1}")
    database.close()
    for open_it in (load, Reviews):
        with pytest.raises(SetupError, match="upgrade"):
            open_it(tmp_path)


def test_a_take_down_leaves_no_byte_of_a_photo_and_an_open_review_forgets_it(tmp_path):
    fill(tmp_path, ("secret:id", "anna", KEEP), ("b", "anna", REJECT))
    with Reviews(tmp_path) as book:
        book.undo("anna", "token u")
        book.decide("secret:id", "anna", REJECT, "token v")
        assert removal.rows_in(book.path, ["secret:id"], []) == 2
        removal.forget(book.path, ["secret:id"], [])
        book.forget()
        assert set(book.standing()) == set()
        for path in tmp_path.iterdir():
            assert b"secret:id" not in path.read_bytes(), path
        book.decide("b", "anna", KEEP, "token w")
        last = book.last("anna")
        assert last is not None
        assert last.photo_id == "b"
    assert set(load(tmp_path).standing) == {"b"}


DECIDES = """
import sys
from pathlib import Path
from manifests.reviews import KEEP, Reviews
print("ready", flush=True)
sys.stdin.readline()
with Reviews(Path(sys.argv[1])) as book:
    book.decide(sys.argv[2], sys.argv[2], KEEP, "token of " + sys.argv[2])
"""


@pytest.mark.slow
def test_many_processes_may_make_the_database_at_the_same_moment(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDES, str(tmp_path), f"r{at}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for at in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert len(load(tmp_path).standing) == 4
