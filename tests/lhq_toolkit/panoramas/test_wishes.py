"""What is asked of a panorama's anchors is read exactly, or refused with the form it should have."""

from pathlib import Path

import pytest
import torch
from endless import small_alis
from safetensors.torch import save_file

from lhq_toolkit.panoramas import wishes
from manifests.errors import LhqError, MisuseError, SetupError
from models.anchor_sampling import Clustered, Nearest
from models.anchors import Frame, Given, Stretch


def test_edits_become_stretches_of_the_right_seeds() -> None:
    asked = wishes.read(["-3:2:77", "9:1:0"], ["0:20:4"], None, 8, None)
    anchors = wishes.anchors(asked, small_alis(), 5)
    assert anchors.sampling == Nearest(8)
    assert set(anchors.edits) == {
        Stretch(-3, 2, 77, -3),
        Stretch(9, 1, 0, 9),
        Stretch(0, 4, 5, 20),
        Stretch(20, 4, 5, 0),
    }
    told = wishes.told(anchors, small_alis())
    assert {"anchors": [-3, -1], "frames": [-8, -2]} in told
    assert isinstance(wishes.anchors(wishes.read([], [], None, None, 4), small_alis(), 5).sampling, Clustered)
    assert not wishes.read([], [], None, None, None).some


@pytest.mark.parametrize(("distance", "firsts"), [(2, [0, 1, 4, 6]), (1, [0, 2, 5, 8])])
def test_what_is_connected_stands_in_a_row(tmp_path: Path, distance: int, firsts: list[int]) -> None:
    """Where the anchor distance is odd a frame begins at an even anchor."""
    save_file({"w": torch.randn(2, 16)}, tmp_path / "two.safetensors")
    asked = wishes.read([], [], f"12,3-00007,{tmp_path / 'two.safetensors'},4-1", None, None)
    anchors, count = wishes.connected(asked, small_alis(16, distance))
    seed, one, given, two = anchors.edits
    assert (seed, one, two) == (Stretch(0, 1, 12, 0), Frame(firsts[1], 3, 7), Frame(firsts[3], 4, 1))
    assert isinstance(given, Given)
    assert [edit.first for edit in anchors.edits] == firsts
    assert count == firsts[3] + 3
    facts = wishes.told(anchors, small_alis(16, distance))
    assert facts[1]["frame_at"] == one.column(small_alis(16, distance).sizes) * 2  # type: ignore[attr-defined]


def test_latents_z_are_mapped(tmp_path: Path) -> None:
    z = torch.randn(3, 16)
    save_file({"z": z}, tmp_path / "a.safetensors")
    anchors, _ = wishes.connected(wishes.read([], [], str(tmp_path / "a.safetensors"), None, None), small_alis())
    (given,) = anchors.edits
    assert isinstance(given, Given)
    assert torch.equal(given.latents, small_alis().mapping(z))


@pytest.mark.parametrize(
    ("resample", "swap", "connect", "nearest", "clusters", "says"),
    [
        (["4:2"], [], None, None, None, "FIRST:COUNT:SEED"),
        (["a:2:3"], [], None, None, None, "FIRST:COUNT:SEED"),
        (["4:2:-1"], [], None, None, None, "seed"),
        ([f"{10**18}:2:1"], [], None, None, None, "so far"),
        ([], ["4:5:2"], None, None, None, "overlap"),
        ([], ["4:7"], None, None, None, "FIRST:OTHER:COUNT"),
        ([], ["4:7:0"], None, None, None, "at least one"),
        (["4:0:7"], [], None, None, None, "at least one"),
        (["4:2:7"], ["5:9:1"], None, None, None, "anchor 5 is changed twice"),
        ([], [], None, 4, 4, "use one"),
        ([], [], "1,2", 4, None, "leave"),
        (["4:2:7"], [], "1,2", None, None, "leave"),
        ([], [], ",", None, None, "name what"),
        ([], [], "7", None, None, "another"),
        ([], [], f"{2**64},1", None, None, "seed"),
        ([], [], "missing.safetensors,1", None, None, "SEED-NUMBER"),
    ],
)
def test_what_cannot_be_is_refused(resample, swap, connect, nearest, clusters, says) -> None:
    def understand() -> None:
        asked = wishes.read(resample, swap, connect, nearest, clusters)
        if asked.connect:
            wishes.connected(asked, small_alis())
        else:
            wishes.anchors(asked, small_alis(), 5)

    with pytest.raises(LhqError, match=says):
        understand()


@pytest.mark.parametrize(
    "tensors",
    [
        {"v": torch.zeros(2, 16)},
        {"w": torch.zeros(2, 15)},
        {"w": torch.zeros(0, 16)},
        {"w": torch.zeros(2, 16), "z": torch.zeros(2, 16)},
        {"w": torch.full((2, 16), torch.nan)},
    ],
)
def test_a_file_of_other_latents_is_refused_with_what_it_holds(tmp_path: Path, tensors) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    asked = wishes.read([], [], str(tmp_path / "a.safetensors"), None, None)
    with pytest.raises(SetupError, match=rf"w \[n, 16\].*{next(iter(tensors))} \["):
        wishes.connected(asked, small_alis())


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\x80\x04a pickle would be opened here")
    with pytest.raises(SetupError, match="safetensors"):
        wishes.connected(wishes.read([], [], str(tmp_path / "a.safetensors"), None, None), small_alis())
    with pytest.raises(MisuseError):
        wishes.read([], [], "", None, None)
