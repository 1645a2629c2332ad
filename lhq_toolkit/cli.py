"""The `lhq` command line: its commands, and how errors end it.

Exit codes: 0 done, 1 failed, 2 misuse, 130 interrupted. Heavy imports happen inside the commands, so that
`lhq --help` answers at once.
"""

from __future__ import annotations

import errno
import re
import signal
import sys
import traceback
from collections.abc import Sequence

import typer

from lhq_toolkit import __version__, terminal, usage
from lhq_toolkit.commands import (
    benchmark,
    convert,
    crawl,
    doctor,
    evaluate,
    export,
    filter_,
    generate,
    heatmap,
    import_,
    leaderboard,
    manifest,
    models_,
    remove,
    report,
    review,
    serve,
    status,
    train,
    verify,
    weights,
)
from manifests import blame
from manifests.errors import LhqError, MisuseError

DONE, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130
_LEFT = {  # after an interruption, by commands that do not go on where they were
    "review": "every decision is saved: the same command opens the page again",
    "serve": "the same command opens the page again",
    **dict.fromkeys(
        ("manifest", "report", "heatmap", "convert", "import"), "nothing was written: run the same command again"
    ),
}
app = typer.Typer(
    name="lhq",
    help="Curate landscape photographs for infinite-image generators, and compare the generators. A dataset is a "
    "folder: crawl into it, filter it, export a subset; then train on the export, measure, generate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("crawl", short_help="Bring photographs into a dataset.")(crawl.crawl)
app.command("filter", short_help="Put stages into a subset's recipe, measure, decide.")(filter_.filter_)
app.command("status", short_help="Print how many photos each stage keeps.")(status.status)
app.command("manifest", short_help="Write a dataset as one Parquet table.")(manifest.manifest)
app.command("review", short_help="Keep or reject photos by keyboard, on a page.")(review.review)
app.command("heatmap", short_help="Draw the regions of photos that tell their place.")(heatmap.heatmap)
app.command("report", short_help="Write one HTML file about a dataset.")(report.report)
app.command("export", short_help="Write a subset as square pictures.")(export.export)
app.command("verify", short_help="Check a dataset's files and tables.")(verify.verify)
app.command("remove", short_help="Take photos down for good.")(remove.remove)
app.command("train", short_help="Train a model on an export.")(train.train)
app.command("evaluate", short_help="Measure a trained model.")(evaluate.evaluate)
app.command("generate", short_help="Write frames or a panorama of a trained model.")(generate.generate)
app.command("import", short_help="Make a run of a published network.")(import_.import_)
app.command("convert", short_help="Write a generator as ONNX or torch.export.")(convert.convert)
app.command("serve", short_help="Show a run's endless panorama on a page.")(serve.serve)
app.command("models", short_help="Print the models and their sizes.")(models_.models)
app.command("benchmark", short_help="Train and measure several models, and rank them.")(benchmark.benchmark)
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(weights.app, name="weights")
app.command("doctor", short_help="Look at this machine, and say what is missing.")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lhq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback where something fails (any position)."),
) -> None:
    pass


def main() -> None:
    """Entry point of the `lhq` program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    debug = "--debug" in arguments
    signal.signal(signal.SIGTERM, _interrupt)
    if empty := _empty(arguments):
        _say(f"{empty} is empty: give it a value, or leave it out")
        return MISUSE
    try:
        code = app([one for one in arguments if one != "--debug"], standalone_mode=False, prog_name="lhq")
    except typer.TyperException as error:
        print(terminal.lines(usage.told(error)), file=sys.stderr)
        return MISUSE
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # the outermost place: everything becomes one line
        if debug:
            traceback.print_exc()
        if not _was_interrupted(error):
            _say(_one_line(error))
            return MISUSE if isinstance(error, MisuseError) else FAILED
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer returns it for a KeyboardInterrupt inside a command
        command = next((one for one in arguments if not one.startswith("-")), "")
        _say(f"interrupted; {_LEFT.get(command, 'what was finished is saved: the same command goes on from there')}")
    return code if isinstance(code, int) else DONE


def _empty(arguments: Sequence[str]) -> str | None:
    """The option or argument that was given as nothing, as an unset variable of a shell does; Path makes it `.`."""
    for before, one in zip(["", *arguments], arguments, strict=False):
        if not one:
            return before if before.startswith("-") else "an argument"
        if re.fullmatch(r"--[a-z0-9-]+=", one):
            return one[:-1]
    return None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _was_interrupted(error: BaseException | None) -> bool:
    """True where a KeyboardInterrupt lies behind: one that fell into an import comes wrapped."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _one_line(error: Exception) -> str:
    """What happened and what to do."""
    if isinstance(error, LhqError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; what was finished is saved: run the same command again with fewer --workers"
    if (of_a_plugin := blame.told(error)) is not None:
        return of_a_plugin
    if isinstance(error, OSError):
        return _of_the_system(error)
    return f"a bug: {type(error).__name__}: {error} (run again with --debug and report what it prints)"


def _of_the_system(error: OSError) -> str:
    """Of what a file system, or the network, refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; nothing half-written was kept: free space and run the same command again"
    if error.errno == errno.EIO:
        where = error.filename or "the disk"
        return f"{where}: {error.strerror}; nothing half-written was kept: mend that and run the same command again"
    if isinstance(error, PermissionError):
        return f"{error.filename or 'a file'} may not be read or written by this user; check its permissions"
    return f"{error.filename or 'the system'}: {error.strerror or error}"


def _say(text: str) -> None:
    print(f"lhq: {terminal.lines(text)}", file=sys.stderr)


if __name__ == "__main__":
    main()
