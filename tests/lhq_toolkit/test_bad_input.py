"""What goes wrong at the command line ends with one line that says what to do, the right code, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from matrices import mostly_long
from PIL import Image
from running import lhq_command

from lhq_toolkit import cli

FOLDER = ("--source", "folder", "--path")
HERE = ("--workers", "0")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for at in range(6):
        Image.effect_noise((80, 60), 40 + at).convert("RGB").save(folder / f"{at}.jpg")
    return folder


def one_line(ran) -> str:
    """The message: a single line, never a traceback."""
    assert "Traceback" not in ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("lhq: ")]
    assert len(lines) == 1, ran.err
    return lines[0]


def test_a_folder_without_images_is_refused_and_no_dataset_is_made(lhq, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    ran = lhq("crawl", tmp_path / "d", *FOLDER, tmp_path / "texts")
    assert ran.code == 2
    assert "no image files" in one_line(ran)
    assert "1 .txt" in ran.err
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_files_that_are_not_what_their_names_say_are_given_up_and_the_crawl_is_done(lhq, tmp_path, pictures):
    (pictures / "page.jpg").write_text("<html><body>404</body></html>")
    (pictures / "empty.png").write_bytes(b"")
    whole = (pictures / "0.jpg").read_bytes()
    (pictures / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    shutil.copy(pictures / "1.jpg", pictures / "really_a_jpeg.png")
    ran = lhq("crawl", tmp_path / "d", *FOLDER, pictures, *HERE, "--json")
    assert ran.code == 0
    assert sum(ran.json["given_up"].values()) == 3
    status = lhq("status", tmp_path / "d", "--json").json
    assert status == {"photos": 10, "files": {"ok": 7, "failed": 3}, "stages": {}, "reviewed": 0, "curated": 7}
    assert {path.suffix for path in (tmp_path / "d" / "images").rglob("*.*")} == {".jpg"}


@pytest.mark.slow
def test_given_up_files_are_tried_again_on_request_only(lhq, tmp_path, pictures):
    broken = pictures / "broken.jpg"
    broken.write_bytes(b"")
    crawl = ("crawl", tmp_path / "d", *FOLDER, pictures, *HERE, "--json")
    assert lhq(*crawl).json["given_up"] != {}
    shutil.copy(pictures / "0.jpg", broken)
    again = lhq(*crawl).json
    assert (again["fetched"], again["given_up_before"]) == (0, 1)
    assert lhq(*crawl, "--retry-failed").json["fetched"] == 1
    assert lhq("status", tmp_path / "d", "--json").json["files"] == {"ok": 7, "failed": 0}


@pytest.mark.slow
def test_a_dataset_of_a_newer_version_is_refused_and_left_alone(lhq, tmp_path, pictures):
    dataset = tmp_path / "d"
    assert lhq("crawl", dataset, *FOLDER, pictures, *HERE).code == 0
    facts = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**facts, "format": 99, "toolkit": "9.9"}))
    for command in (
        ("crawl", dataset, *FOLDER, pictures),
        ("filter", dataset, "--tags"),
        ("status", dataset),
        ("manifest", dataset, "-o", tmp_path / "m.parquet"),
        ("export", dataset, tmp_path / "out", "--format", "folder", "--resolution", "8"),
    ):
        ran = lhq(*command)
        assert ran.code == 1
        assert "9.9" in one_line(ran)
        assert "upgrade" in ran.err
    assert not (tmp_path / "out").exists()


def test_what_is_not_a_dataset_is_named(lhq, tmp_path):
    ran = lhq("status", tmp_path / "nowhere")
    assert ran.code == 2
    assert "not a dataset" in one_line(ran)


def test_a_folder_with_other_files_does_not_become_a_dataset(lhq, tmp_path, pictures):
    ran = lhq("crawl", pictures, *FOLDER, pictures)
    assert ran.code == 2
    assert "new or empty folder" in one_line(ran)
    assert len(list(pictures.iterdir())) == 6


@pytest.mark.slow
def test_a_second_writer_is_refused_and_told_who_holds_the_lock(lhq, tmp_path, pictures):
    dataset = tmp_path / "d"
    holder = subprocess.Popen(
        lhq_command("crawl", dataset, "--source", "synthetic", "--limit", "100000", *HERE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        lock = dataset / "locks" / "crawl.lock"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (lock.exists() and lock.read_text()):
            time.sleep(0.02)
        ran = lhq("crawl", dataset, *FOLDER, pictures)
        assert ran.code == 1
        message = one_line(ran)
        assert str(holder.pid) in message
        assert os.uname().nodename in message
        assert lhq("status", dataset).code == 0, "readers never wait"
    finally:
        holder.kill()
        holder.wait()


INTERRUPTED = [(sign, workers) for sign in (signal.SIGINT, signal.SIGTERM) for workers in (0, 2)]


@pytest.mark.parametrize("case", mostly_long(INTERRUPTED, always=[(signal.SIGTERM, 0), (signal.SIGINT, 2)]), ids=str)
@pytest.mark.slow
def test_an_interruption_keeps_what_is_done_and_ends_with_130(lhq, tmp_path, case):
    sign, workers = case
    dataset = tmp_path / "d"
    crawl = ("crawl", dataset, "--source", "synthetic", "--limit", "3000", "--workers", workers)
    process = subprocess.Popen(lhq_command(*crawl), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(dataset.glob("tables/files/1/part-*")):
        time.sleep(0.05)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert lhq("status", dataset, "--json").json["files"]["ok"] > 0


@pytest.mark.slow
def test_a_full_disk_stops_with_a_clear_line_and_half_writes_nothing(lhq, tmp_path, pictures, small_disk):
    for at in range(40):
        Image.effect_noise((300, 200), 90).convert("RGB").save(pictures / f"big{at}.jpg", quality=95)
    ran = lhq("crawl", small_disk / "d", *FOLDER, pictures, *HERE)
    assert ran.code == 1
    assert "disk is full" in one_line(ran)
    assert not [path for path in (small_disk / "d").rglob(".tmp-*") if path.is_file()]
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert lhq("crawl", small_disk / "d", *FOLDER, pictures, *HERE).code == 0
    assert lhq("status", small_disk / "d", "--json").json["files"] == {"ok": 46, "failed": 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "alsi", "no/pictures", "-o", "RUN"), "no model is called 'alsi'; there are: stylegan2"),
        (("models", "--resolution", "100"), "lhq: --resolution 100: choose a power of two"),
    ],
)
def test_a_name_or_size_that_no_model_has_is_misuse_whatever_else_is_wrong(lhq, tmp_path, arguments, says):
    ran = lhq(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\xff\xfe\x00bad", "UTF-8"),
        (b"title,tags\nA,b\n", "named file"),
        (b"file,width\n0.jpg,wide\n1.jpg,-3\n", "width"),
        (b"file,title\nnothere.jpg,A\n", "matches a photo"),
    ],
)
def test_an_unreadable_metadata_file_is_named_before_anything_is_written(lhq, tmp_path, pictures, content, says):
    file = tmp_path / "meta.csv"
    if content is not None:
        file.write_bytes(content)
    ran = lhq("crawl", tmp_path / "d", *FOLDER, pictures, "--metadata", file)
    assert ran.code == (2 if content is None else 1)
    assert "Traceback" not in ran.err
    assert "meta.csv" in ran.err
    assert says in ran.err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("crawl", "D", "--source", "nope"),
        ("crawl", "D", "--source", "folder"),
        ("crawl", "D", "--source", "folder", "--path", "no/such/folder"),
        ("crawl", "D", "--source", "synthetic"),
        ("crawl", "D", "--source", "synthetic", "--limit", "0"),
        ("filter", "D"),
        ("filter", "D", "--set", "invariance.threshold=2", "--invariance"),
        ("filter", "D", "--set", "invariance.nope=2", "--invariance"),
        ("filter", "D", "--set", "nope.threshold=2"),
        ("filter", "D", "--set", "threshold", "--tags"),
        ("filter", "D", "--tags", "--set", "resolution.min_side=3"),
        ("filter", "D", "--drop", "tags"),
        ("filter", "D", "--tags", "--subset", "../up"),
        ("manifest", "D", "-o", "x.csv"),
        ("manifest", "D", "-o", "x.parquet", "--subset", "nope"),
        ("export", "D", "OUT", "--format", "nope", "--resolution", "3"),
        ("export", "D", "OUT", "--format", "folder", "--resolution", "0"),
        ("export", "D", "OUT", "--format", "zip", "--resolution", "8", "--crops", "0"),
        ("nope",),
    ],
)
@pytest.mark.slow
def test_misuse_ends_with_2_and_changes_nothing(lhq, tmp_path, pictures, arguments):
    assert lhq("crawl", "D", *FOLDER, pictures, *HERE, cwd=tmp_path).code == 0
    before = sorted(path for path in tmp_path.rglob("*") if "locks" not in str(path))
    ran = lhq(*arguments, cwd=tmp_path)
    assert ran.code == 2, ran.err
    assert ran.err
    assert "Traceback" not in ran.err
    assert sorted(path for path in tmp_path.rglob("*") if "locks" not in str(path)) == before


@pytest.mark.slow
def test_an_export_never_goes_over_other_files(lhq, tmp_path, pictures):
    assert lhq("crawl", tmp_path / "d", *FOLDER, pictures, *HERE).code == 0
    export = ("export", tmp_path / "d", pictures, "--format", "folder", "--resolution", "8", *HERE)
    ran = lhq(*export)
    assert ran.code == 2
    assert "not empty" in one_line(ran)
    with contextlib.suppress(FileNotFoundError):
        assert len(list(pictures.iterdir())) == 6


def test_help_names_every_command_and_imports_nothing_heavy(lhq):
    ran = lhq("--help")
    assert ran.code == 0
    assert all(name in ran.out for name in ("crawl", "filter", "status", "manifest", "export"))
    loaded = subprocess.run(
        [*lhq_command()[:1], "-X", "importtime", "-m", "lhq_toolkit.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    for heavy in ("torch", "ray", "pyarrow", "pandas", "numpy", "pydantic"):
        assert f" {heavy}\n" not in loaded, f"{heavy} is imported for --help"


def test_an_interruption_that_falls_into_an_import_is_an_interruption(monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    monkeypatch.setattr(cli, "app", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.run([]) == 130
    signal.signal(signal.SIGTERM, before)
    assert "the same command goes on" in capsys.readouterr().err
