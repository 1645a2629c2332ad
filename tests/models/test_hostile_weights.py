"""Files of weights of any content are read as plain tensors, or refused by name; nothing of them is run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import limited
import published_pickle
import pytest
import torch
from mangling import FEW_OR_MANY, mangled, tried
from safetensors.torch import save

from models import inert_pickle, published_files
from models.weights import WeightsError, read_tensors

pytestmark = pytest.mark.slow

TENSORS = {"conv.weight": torch.arange(36.0).view(2, 2, 3, 3), "conv.bias": torch.zeros(2), "count": torch.tensor(3)}


def saved(content: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, **options)
    return out.getvalue()


SOUND = {
    "w.pth": saved(TENSORS),
    "nested.ckpt": saved({"state_dict": TENSORS, "epoch": 3, "optimizer": [{"lr": 0.1}]}),
    "legacy.pth": saved(TENSORS, _use_new_zipfile_serialization=False),
    "w.safetensors": save(TENSORS),
}


def read_or_refused(read: Callable[[Path], Any], path: Path) -> Any:
    """What was read; None where it was refused in one printable line that names the file."""
    try:
        return read(path)
    except WeightsError as error:
        told = str(error)
        assert str(path) in told
        assert told.isprintable(), told
        return None


@pytest.mark.parametrize("name", SOUND)
@FEW_OR_MANY
def test_any_checkpoint(tmp_path, name, many):
    path = tmp_path / name
    path.write_bytes(SOUND[name])
    assert read_tensors(path).keys() == TENSORS.keys()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        found = read_or_refused(read_tensors, path)
        for tensor in (found or {}).values():
            tensor.clone()  # its numbers are there

    tried(check, mangled(SOUND[name]), few=20, many=many)


@FEW_OR_MANY
def test_any_published_network(tmp_path, many):
    tensors = {"G.synthesis.b8.conv1.weight": torch.ones(2, 2, 3, 3), "G.mapping.w_avg": torch.zeros(2)}
    stored = published_pickle.networks(tensors, patchwise={"grid_size": 2, "w_coord_dist": 4})
    path = published_pickle.write(tmp_path / "network.pkl", stored)
    sound = path.read_bytes()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        read_or_refused(inert_pickle.read, path)
        read_or_refused(published_files.read, path)

    tried(check, mangled(sound), few=30, many=many)


BOMBS = {
    "one number a thousand million times": {"w": torch.zeros(1).expand(1_000_000, 1_000_000)},
    "a tensor of zeros that lies nowhere": {"w": torch.empty(1_000_000, 1_000_000, device="meta")},
    "a sparse tensor": {"w": torch.sparse_coo_tensor(torch.zeros(2, 1), torch.ones(1), (10**6, 10**6))},
    "a quantised tensor": {"w": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)},
}


@pytest.mark.parametrize("what", BOMBS)
def test_tensors_that_are_larger_than_their_file_are_refused(tmp_path, what):
    path = tmp_path / "w.pth"
    path.write_bytes(saved(BOMBS[what]))
    with pytest.raises(WeightsError, match=r"w\.pth holds"):
        read_tensors(path)


COUNT = 75_000_000  # numbers: 300 MB


def packed(path: Path) -> Path:
    """A checkpoint of so many zeros, its numbers packed."""
    with (
        zipfile.ZipFile(io.BytesIO(saved({"w": torch.zeros(7)}))) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for one in plain.infolist():
            content = plain.read(one)
            if one.filename.endswith("data.pkl"):
                content = content.replace(b"K\x07", b"J" + COUNT.to_bytes(4, "little"))
            if not one.filename.endswith("data/0"):
                target.writestr(one.filename, content, zipfile.ZIP_STORED)
                continue
            with target.open(one.filename, "w") as member:
                for _ in range(COUNT * 4 // 1_000_000):
                    member.write(bytes(1_000_000))
    return path


def test_a_checkpoint_that_unpacks_to_two_hundred_times_its_size_is_refused_before_it_does(tmp_path):
    """PyTorch stores its members as they are; one that is deflated is somebody else's."""
    path = packed(tmp_path / "w.pth")
    assert path.stat().st_size * 200 < COUNT * 4
    command = [sys.executable, limited.__file__, str(COUNT * 2), str(path)]  # half of what it unpacks to
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.splitlines()
    assert told[0].startswith("RuntimeError"), "it hurts whoever is not on guard"
    assert "w.pth holds no plain weights (its members are packed" in told[1]


def test_a_list_of_members_that_python_and_pytorch_find_at_different_places_is_refused(tmp_path):
    """One list tells of stored members and stands before the end; the other is where the end says that it is."""
    path = tmp_path / "w.pth"
    stored = SOUND["w.pth"]
    path.write_bytes(stored)
    read_tensors(path)
    where = len(stored) - 98
    for at in (where, where + 48, where + 64, len(stored) - 20):  # the records' marks, and the places that they name
        data = bytearray(stored)
        data[at] ^= 1
        path.write_bytes(data)
        read_or_refused(read_tensors, path)
    path.write_bytes(b"PK\3\4" + bytes(60) + stored)  # Python takes what stands before a zip as none of its business
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()
    with pytest.raises(WeightsError, match="its end is not that of a zip"):
        read_tensors(path)
