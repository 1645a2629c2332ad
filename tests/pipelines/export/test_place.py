"""Exports to a URL: an object has its final name only when it is whole; what breaks goes on with the same command."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from comparing import files_of
from cutting import cutting
from exporting import export
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from running import run_until_killed

from manifests.errors import MisuseError, SetupError, TransientError
from pipelines.export.place import Remote, is_url

SIZE = 200


class Store:
    """moto's S3 server behind a proxy that can cut."""

    def __init__(self, server, proxy) -> None:
        self.port, self.proxy = server, proxy
        self.env = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def objects(self, bucket: str) -> dict[str, bytes]:
        listed = self.client().list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: self.client().get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    with cutting(port) as proxy:
        yield Store(port, proxy)
    server.stop()


@pytest.fixture(scope="module")
def noisy(lhq, tmp_path_factory) -> Path:
    """A dataset of four pictures that no PNG makes small."""
    folder, place = tmp_path_factory.mktemp("noise"), tmp_path_factory.mktemp("noisy") / "d"
    for at in range(4):
        noise = np.random.default_rng(at).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{at}.png")
    assert lhq("crawl", place, "--source", "folder", "--path", folder, "--workers", "0").code == 0
    return place


@pytest.mark.slow
def test_an_upload_that_breaks_leaves_no_object_and_the_same_command_ends_it(lhq, noisy, store, tmp_path):
    store.client().create_bucket(Bucket="broken")
    command = export(noisy, "s3://broken/set", "--crops", 2, form="webdataset", size=SIZE)
    store.proxy.limit, before = 400_000, store.proxy.cuts  # the shard has some 900,000 bytes
    ran = lhq(*command, env=store.env)
    assert ran.code == 1
    assert "run the same command again" in ran.err
    assert "Traceback" not in ran.err
    assert store.proxy.cuts > before
    left = store.objects("broken")
    assert "set/shard-00000.tar" not in left
    assert "set/SHA256SUMS" not in left
    assert not store.client().list_multipart_uploads(Bucket="broken").get("Uploads")
    store.proxy.limit = None
    ran = lhq(*command, "--json", env=store.env)
    assert ran.code == 0, ran.err
    assert ran.json["made"] == 0
    assert lhq(*export(noisy, tmp_path / "local", "--crops", 2, form="webdataset", size=SIZE)).code == 0
    local = {f"set/{path.name}": path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert store.objects("broken") == local
    assert not list((noisy / "exports").iterdir())
    again = lhq(*command, "--json", env=store.env)
    assert (again.json["photos"], again.json["pictures"], again.json["made"]) == (4, 8, 0)
    other = lhq(*export(noisy, "s3://broken/set", form="webdataset", size=SIZE), env=store.env)
    assert other.code == 2
    assert "another export" in other.err


@pytest.mark.slow
def test_a_take_down_names_the_exports_at_urls_that_hold_the_photo(lhq, noisy, store):
    store.client().create_bucket(Bucket="named")
    ran = lhq(*export(noisy, "s3://named/set", form="zip", size=SIZE), env=store.env)
    assert ran.code == 0, ran.err
    photo = next(one for one in (f"folder:{name}" for name in folder_ids(noisy)))
    for asked, holds in (((), None), (("--look-into", "s3://named/set"), {photo: ["00000/img00000000.png"]})):
        found = lhq("remove", noisy, "--id", photo, *asked, "--json", env=store.env).json["exports"]
        (held,) = [one for one in found if one["out"] == "s3://named/set"]
        assert (held["holds"], held["asked"]) == (holds, bool(asked))


def folder_ids(dataset: Path) -> list[str]:
    from manifests.dataset import Dataset

    photos = Dataset.open(dataset).photos_table.read(["photo_id"])["photo_id"].to_pylist()
    return sorted(one.removeprefix("folder:") for one in photos)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["export.placed", "export.sent"])
def test_an_export_to_a_url_that_is_killed_ends_as_an_unbroken_one(lhq, dataset, tmp_path, point):
    command = export(dataset, f"file://{tmp_path}/there", "--json")
    assert run_until_killed(command, {"LHQ_FAULT": point}) == -signal.SIGKILL
    assert not (tmp_path / "there" / "SHA256SUMS").exists()
    ran = lhq(*command)
    assert ran.code == 0, ran.err
    assert lhq(*export(dataset, tmp_path / "local")).code == 0
    assert files_of(tmp_path / "there") == files_of(tmp_path / "local")
    noted = [json.loads(line)["out"] for line in (dataset / "exports.jsonl").read_text().splitlines()]
    assert f"file://{tmp_path}/there" in noted


def test_a_url_with_other_files_is_refused_and_left_alone(lhq, dataset, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.txt").write_text("mine")
    ran = lhq(*export(dataset, f"file://{tmp_path}/there"))
    assert ran.code == 2
    assert "is not empty" in ran.err
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["thesis.txt"]


class Breaking(LocalFileSystem):
    """A file system whose uploads stop half-way."""

    protocol = "breaking"

    def put_file(self, lpath, rpath, callback=None, **kwargs):
        content = Path(lpath).read_bytes()
        Path(rpath).write_bytes(content[: len(content) // 2])
        raise OSError("the line went dead")


def test_where_a_broken_upload_would_leave_half_a_file_it_has_another_name(tmp_path):
    fsspec.register_implementation("breaking", Breaking, clobber=True)
    remote = Remote.open(f"breaking://{tmp_path}/there")
    (tmp_path / "file").write_bytes(b"content" * 100)
    with pytest.raises(TransientError, match="the line went dead"):
        remote.put(tmp_path / "file", "file")
    assert list((tmp_path / "there").iterdir()) == []


def test_urls_are_told_from_paths_and_bad_ones_refused():
    assert is_url("s3://bucket/name")
    assert not is_url("out/s3:name")
    with pytest.raises(MisuseError, match="cannot be exported to"):
        Remote.open("nosuch://bucket/name")
    with pytest.raises(MisuseError, match="leave them out"):
        Remote.open("sftp://me:secret@host/name")


def test_a_store_whose_library_is_missing_is_told_by_name():
    with pytest.raises(SetupError, match="gcsfs"):
        Remote.open("gs://bucket/name")
