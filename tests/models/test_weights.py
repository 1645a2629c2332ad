"""The registry says what torchvision says, and a file is opened only when it may be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch

from models import weights
from models.weights import REGISTRY, WeightsError


@pytest.mark.slow
def test_addresses_and_sizes_are_torchvisions_own() -> None:
    from torchvision.models import ResNet18_Weights, VGG16_Weights, Wide_ResNet50_2_Weights, detection

    published = {
        "maskrcnn_resnet50_fpn_v2": detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
        "maskrcnn_resnet50_fpn": detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
        "resnet18": ResNet18_Weights.IMAGENET1K_V1,
        "wide_resnet50_2": Wide_ResNet50_2_Weights.IMAGENET1K_V1,
        "vgg16": VGG16_Weights.IMAGENET1K_V1,
    }
    assert set(REGISTRY) == {*published, "inception"}
    for name, theirs in published.items():
        ours = REGISTRY[name]
        assert ours.url == theirs.url
        assert ours.mebibytes == theirs.meta["_file_size"]
        assert ours.file == ours.url.rpartition("/")[2]
        assert ours.file.endswith(f"-{ours.sha256}.pth")


def test_every_file_has_an_https_address_a_hash_and_a_licence() -> None:
    for name, one in REGISTRY.items():
        assert one.name == name
        assert one.url.startswith("https://")
        assert len(one.sha256) == (64 if one.known_whole else 8)
        assert set(one.sha256) <= set("0123456789abcdef")
        assert one.licence
        assert one.needed_by
        assert one.known_whole or not one.torchscript, "what runs code needs its whole hash"


def test_a_missing_or_wrong_file_names_the_one_command(tmp_path: Path) -> None:
    path = tmp_path / REGISTRY["resnet18"].file
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd\.pth is missing: run: lhq weights fetch resnet18"):
        weights.find("resnet18", cache=tmp_path)
    path.write_bytes(b"something")
    with pytest.raises(WeightsError, match=r"not f37072fd\.\.\., and was not opened: delete it and run: lhq weights"):
        weights.find("resnet18", cache=tmp_path)


def test_own_weights_may_be_given_but_no_torchscript(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"something")
    found = weights.find("resnet18", mine)
    assert (found.path, found.sha256) == (mine, hashlib.sha256(b"something").hexdigest())
    with pytest.raises(WeightsError, match=f"not {REGISTRY['inception'].sha256}, and was not opened"):
        weights.find("inception", mine)
    with pytest.raises(WeightsError, match="missing: give the path"):
        weights.find("resnet18", tmp_path / "nothing.pth")


def test_the_hash_of_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"one", b"three"):
        path.write_bytes(data)
        assert weights.sha256_of(path) == hashlib.sha256(data).hexdigest()


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran code')",)


def test_plain_weights_are_read_and_nothing_else(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.pth")
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "c.pt")
    torch.save({"model": tensors}, tmp_path / "d.pkl")
    for name in ("a.safetensors", "b.pth", "c.pt", "d.pkl"):
        read = weights.read_tensors(tmp_path / name)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[key], tensors[key]) for key in tensors)
    torch.save({"a": _Evil()}, tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({}, tmp_path / "empty.pth")
    with pytest.warns(FutureWarning):
        torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "script.pt")
    (tmp_path / "noise.pth").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "noise.safetensors").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "zero.pth").write_bytes(b"")
    for name in ("evil.pth", "list.pth", "empty.pth", "script.pt", "noise.pth", "noise.safetensors", "zero.pth"):
        with pytest.raises(WeightsError, match=name):
            weights.read_tensors(tmp_path / name)
