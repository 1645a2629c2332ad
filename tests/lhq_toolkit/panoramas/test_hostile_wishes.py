"""Options of panoramas, and files of latents, may be anything: they mean anchors, or are refused in our words."""

from __future__ import annotations

import torch
from endless import small_alis
from hypothesis import strategies as st
from mangling import FEW_OR_MANY, mangled, tried
from safetensors.torch import save

from lhq_toolkit.panoramas import wishes
from manifests.errors import SetupError

SOUND = {"w": torch.randn(2, 16)}
KINDS = [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool, torch.complex64]
KINDS += [torch.float8_e4m3fn]
SHAPES = [(2, 16), (0, 16), (16,), (), (2, 16, 1), (1, 8)]
OTHERS = st.dictionaries(
    st.sampled_from(["w", "z", "", "x\ny", "é" * 99]),
    st.builds(lambda shape, kind: torch.ones(shape).to(kind), st.sampled_from(SHAPES), st.sampled_from(KINDS)),
    max_size=3,
)


@FEW_OR_MANY
def test_latents_of_any_file(tmp_path, many):
    path = tmp_path / "latents.safetensors"
    asked = wishes.read([], [], f"{path},7", None, None)

    def check(data: bytes) -> None:
        path.write_bytes(data)
        refusal = ""
        try:
            anchors, count = wishes.connected(asked, small_alis())
        except SetupError as error:
            refusal = str(error)
        if refusal:
            assert str(path) in refusal
            assert refusal.isprintable(), refusal
            return
        assert count >= 2
        latents = anchors.edits[0].latents
        assert (latents.dtype, latents.shape[1:]) == (torch.float32, (16,))
        assert latents.isfinite().all()

    tried(check, mangled(save(SOUND)) | OTHERS.map(save), few=60, many=many)


NUMBERS = st.sampled_from(["0", "-1", "7", "9" * 20, "9" * 5000, "\u0663", "\xb2", "1e3", " 1", "0x1", "1_0", ""])
PARTS = st.lists(NUMBERS | st.text(max_size=4), max_size=4)


@FEW_OR_MANY
def test_options_of_any_text(tmp_path, monkeypatch, many):
    monkeypatch.chdir(tmp_path)

    def refusal(resample: list[str], swap: list[str], connect: str | None, nearest: int | None) -> str:
        try:
            asked = wishes.read(resample, swap, connect, nearest, None)
            anchors = wishes.connected(asked, small_alis())[0] if connect else wishes.anchors(asked, small_alis(), 5)
            wishes.told(anchors, small_alis())
        except SetupError as error:
            return str(error)
        return ""

    def check(given: tuple[list[str], list[str], list[str], list[str]]) -> None:
        resample, swap, frames, seeds = given
        assert len(refusal([":".join(resample)], [":".join(swap)] if swap else [], None, 2)) < 400
        refusal([], [], ",".join(["-".join(frames), *seeds]), None)

    tried(check, st.tuples(PARTS, PARTS, PARTS, PARTS), few=60, many=many)
