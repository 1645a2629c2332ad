"""Frames that are written stay, whatever ends the command: the same one finds them and makes the rest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import generate, samples
from manifests.errors import MisuseError


class Grey:
    """Draws frames of one shade each, a world's own."""

    def samples(self, seed: int, first: int, count: int, truncation: float = 1.0) -> torch.Tensor:
        assert truncation == 1.0
        return torch.linspace(-1, 1, 100)[seed + first : seed + first + count].view(-1, 1, 1, 1).expand(-1, 3, 8, 8)


GREY: Any = SimpleNamespace(generator=Grey())


@pytest.mark.parametrize("after", [False, True])
def test_an_interruption_keeps_whole_frames_and_the_same_command_makes_the_rest(tmp_path, monkeypatch, after):
    write, written = samples.write, []

    def interrupted(path, image) -> None:
        if len(written) < 3 or after:
            write(path, image)
        written.append(path)
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(samples, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate.frames(GREY, tmp_path / "out", 20, 1)
    assert len(list((tmp_path / "out").iterdir())) == 3 + after
    monkeypatch.setattr(samples, "write", write)
    generate.frames(GREY, tmp_path / "out", 20, 1)
    generate.frames(GREY, tmp_path / "whole", 20, 1)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("out", "whole"))
    assert one == other
    with pytest.raises(MisuseError, match="exists"):
        generate.frames(GREY, tmp_path / "out", 20, 1)
