"""The crawl writes what is new and nothing else, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from crawling import crawl_folder, parts_of, rows_of, scene, write_all
from encoding import encode
from PIL import Image
from running import lhq_command

from manifests.dataset import Dataset

pytestmark = pytest.mark.slow  # each runs the program several times


def test_ids_sightings_and_ranks_are_those_of_the_folder(lhq, tmp_path):
    names = ["a.png", "b.png", "deep/c.png", "ü ñ.png"]
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for at, name in enumerate(names):
        Image.new("RGB", (8, 6), (at, 0, 0)).save(folder / name)
    dataset = tmp_path / "d"
    assert lhq(*crawl_folder(dataset, folder, "--label", "hills")).json["new"] == 4
    photos, sightings = rows_of(dataset, "photos"), rows_of(dataset, "sightings")
    ids = [f"folder:hills/{name}" for name in names]
    assert [row["photo_id"] for row in photos] == ids
    assert [row["source_id"] for row in photos] == [f"hills/{name}" for name in names]
    assert {row["license"] for row in photos} == {"LicenseRef-unknown"}
    assert [(row["photo_id"], row["query"], row["rank"]) for row in sightings] == [
        (photo_id, "hills", rank) for rank, photo_id in enumerate(ids)
    ]
    assert {row["source"] for row in photos + sightings} == {"folder"}


def test_the_same_bytes_under_two_labels_are_two_photos_of_one_file(lhq, tmp_path):
    folder = write_all(tmp_path / "pictures", {"a.jpg": encode(Image.fromarray(scene(60, 40)), "JPEG")})
    shutil.copy(folder / "a.jpg", folder / "again.jpg")
    dataset = tmp_path / "d"
    for label in ("one", "two"):
        assert lhq(*crawl_folder(dataset, folder, "--label", label)).code == 0
    files = rows_of(dataset, "files")
    assert len(files) == 4
    assert len({row["path"] for row in files}) == len(list((dataset / "images").rglob("*.jpg"))) == 1
    status = lhq("status", dataset, "--json").json
    assert (status["photos"], status["files"]["ok"]) == (4, 4), "files are counted per photo"


def test_a_changed_metadata_file_supersedes_rows_and_an_unchanged_one_writes_nothing(lhq, tmp_path):
    folder = write_all(
        tmp_path / "pictures",
        {f"{at}.png": encode(Image.fromarray(scene(20, 20, at)), "PNG") for at in range(3)},
    )
    table = tmp_path / "meta.csv"
    head = "file,title,tags,taken_at,license,camera"
    first = ["0.png,Hill,hill;sky,2020-01-02T03:04:05,CC BY 4.0,A", "1.png,Lake,lake,,CC0,B", "2.png,,,,,"]
    table.write_text("\n".join([head, *first]))
    dataset = tmp_path / "d"
    again = crawl_folder(dataset, folder, "--metadata", table)
    assert lhq(*again).json["new"] == 3
    before = parts_of(dataset)
    ran = lhq(*again)
    assert (ran.code, ran.json["new"], ran.json["fetched"]) == (0, 0, 0)
    assert parts_of(dataset) == before

    table.write_text("\n".join([head, first[0], "1.png,Loch,lake,,CC0,B", first[2]]))
    ran = lhq(*again)
    assert (ran.code, ran.json["new"], ran.json["fetched"]) == (0, 0, 0)
    written = sorted(set(parts_of(dataset)) - set(before))
    assert [path.parent.parent.name for path in written] == ["photos"]
    assert [(row["photo_id"], row["title"]) for row in rows_of(dataset, "photos")[3:]] == [
        ("folder:pictures/1.png", "Loch")
    ]
    current = {row["photo_id"]: row for row in Dataset.open(dataset).photos().to_pylist()}
    assert [row["title"] for row in current.values()] == ["Hill", "Loch", None]
    assert all(row["queries"] == ["pictures"] for row in current.values())
    assert lhq("status", dataset, "--json").json["photos"] == 3


@pytest.mark.parametrize(
    ("named", "stray"),
    [
        ("synthetic", ("--path", ".")),
        ("synthetic", ("--label", "a")),
        ("folder", ("--limit", 3)),
        ("folder", ("--seed", 0)),
    ],
)
def test_an_option_of_a_source_that_is_not_named_is_misuse(lhq, tmp_path, named, stray):
    needed = {"synthetic": ("--limit", 1), "folder": ("--path", tmp_path)}[named]
    ran = lhq("crawl", tmp_path / "d", "--source", named, *needed, *stray)
    assert ran.code == 2
    assert stray[0] in ran.err
    assert not (tmp_path / "d").exists()


def children_of(pid: int) -> dict[int, str]:
    """Processes below a process, by number, with their command lines."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended meanwhile
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: command for one in found - {pid} if (command := command_of(one))}


def command_of(pid: int) -> str:
    """The command line of a living process; empty where it has ended, also as a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_driver_leaves_no_ray_processes_behind(tmp_path):
    """Ray's two agents, small and idle, end by themselves half a minute later; that is not waited for."""
    dataset = tmp_path / "d"
    command = lhq_command("crawl", dataset, "--source", "synthetic", "--limit", "5000", "--workers", "2")
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(dataset.glob("tables/files/1/part-*")):
            assert driver.poll() is None
            time.sleep(0.1)
        children = {pid: name for pid, name in children_of(driver.pid).items() if "Agent" not in name}
        assert any("raylet" in name for name in children.values())
        assert any("gcs_server" in name for name in children.values())
        assert sum("ray::_Actor" in name for name in children.values()) == 2
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(command_of(pid) for pid in children):
        time.sleep(0.2)
    left = [name[:80] for pid, name in children.items() if command_of(pid)]
    assert left == []
