"""A command line that cannot be read is answered by one line of our voice: what, why, and where to read on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from lhq_toolkit import cli

Said = tuple[int, str]


@pytest.fixture
def lhq(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """Run `lhq` in this process; the exit code and what stands on standard error."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: (cli.run(arguments), capsys.readouterr().err)
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("crawl", "DATASET is missing; see: lhq crawl --help"),
        ("crawl D", "--source is missing; see: lhq crawl --help"),
        ("import FILE -o RUN", "--model is missing; see: lhq import --help"),
        ("leaderboard merge", "FILE.csv is missing; see: lhq leaderboard merge --help"),
        ("crawl D --source folder --limit 0", "--limit 0: it must be at least 1; see: lhq crawl --help"),
        ("crawl D --source folder --limit many", "--limit many: it must be a whole number; see: lhq crawl --help"),
        ("generate R -o x --truncation 2", "--truncation 2: it must be at most 1; see: lhq generate --help"),
        ("convert R -o x --inputs a", "--inputs a: it must be one of 'latents', 'styles'; see: lhq convert --help"),
        ("filter D --dop tags", "no such option --dop; did you mean --drop? See: lhq filter --help"),
        ("filter D --subset", "option '--subset' requires an argument"),
        ("status D E", "got unexpected extra argument(s) (E); see: lhq status --help"),
        ("lederboard", "no such command 'lederboard'; did you mean 'leaderboard'? See: lhq --help"),
        ("weights nope", "no such command 'nope'; see: lhq weights --help"),
        ("status ", "an argument is empty: give it a value, or leave it out"),
        ("crawl D --source folder --path ", "--path is empty: give it a value, or leave it out"),
        ("crawl D --source folder --path=", "--path is empty: give it a value, or leave it out"),
        ("generate R -o  --frames 1", "-o is empty: give it a value, or leave it out"),
        ("evaluate R D --threads 99999999999", "--threads 99999999999: it must be at most 1024"),
        ("generate R -o x --frames 1000001", "--frames 1000001: it must be at most 1000000"),
        ("status \x1b[2J", r"\x1b[2J"),
        ("status D --\x1b[2J", r"\x1b[2J"),
    ],
)
def test_misuse_is_one_line_and_2(lhq, arguments, told):
    code, said = lhq(*arguments.split(" "))
    assert code == 2
    assert told in said
    assert said.startswith("lhq: ")
    assert said.endswith("\n")
    assert said[:-1].isprintable()


def test_no_command_is_answered_with_the_help(lhq):
    code, said = lhq()
    assert code == 2
    assert said.startswith("Usage: lhq [OPTIONS] COMMAND")
    assert "crawl" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--debug export D OUT", "what was finished is saved: the same command goes on from there"),
        ("report D -o r.html", "nothing was written: run the same command again"),
        ("review D", "every decision is saved: the same command opens the page again"),
    ],
)
def test_an_interruption_says_what_was_kept_and_how_to_go_on(lhq, monkeypatch, arguments, told):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert lhq(*arguments.split(" ")) == (130, f"lhq: interrupted; {told}\n")
