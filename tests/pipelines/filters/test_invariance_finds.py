"""What the invariance stage finds in painted scenes of a series that its networks never saw.

Centred subjects tell their halves. The halves of control scenes differ plainly, in a way that has no side once whole
pictures are mirrored too: with flips they must pass like any scene, without flips they are told.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from pipelines.engine.stage import RGB, FitInput
from pipelines.filters.invariance import Invariance, InvarianceSettings
from pipelines.sources.painter import describe, paint

LEARNED, SCORED = 300, 200  # scenes of one series, and of another
SERIES = ((501, 502), (503, 504), (505, 506))  # seeds on whose scenes nothing was tuned
KINDS: dict[str, tuple[dict[str, Any], float, float]] = {  # settings, and what the area under the curve must be
    "centred": ({}, 0.95, 1.0),
    "centred, four parts": ({"parts": 4}, 0.95, 1.0),
    "centred, official split": ({"split": "official"}, 0.85, 1.0),  # learns from 45 scenes
    "control": ({}, 0.4, 0.6),
    "control, no flips": ({"flip": False}, 0.95, 1.0),
}
CASES = [(seeds, kind) for seeds in SERIES for kind in KINDS]


@lru_cache(maxsize=4)
def painted(seed: int, count: int, control: bool) -> tuple[dict[str, RGB], npt.NDArray[np.bool_]]:
    """Scenes by a made-up hash, every second pixel of them, and which hold a centred subject, or are control scenes."""
    images, planted = {}, []
    for index in range(count):
        scene = describe(seed, index, control=control)
        planted.append(scene.control if control else scene.subject_kind is not None)
        name = hashlib.sha256(f"{seed} {index}".encode()).hexdigest()
        images[name] = np.ascontiguousarray(paint(seed, index, control=control)[::2, ::2])
    return images, np.array(planted)


def area(scores: npt.NDArray[np.float64], planted: npt.NDArray[np.bool_]) -> float:
    """The area under the ROC curve."""
    above = scores[planted][:, None] - scores[~planted][None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


@pytest.mark.slow
@pytest.mark.long  # half a minute each; one kind is in test_invariance.py
@pytest.mark.parametrize("case", CASES, ids=str)
def test_telling_scenes_are_found_and_only_these(case: tuple[tuple[int, int], str], tmp_path: Path) -> None:
    seeds, kind = case
    settings, least, most = KINDS[kind]
    control = kind.startswith("control")
    learned, _ = painted(seeds[0], LEARNED, control)
    scored, planted = painted(seeds[1], SCORED, control)
    stage = Invariance(InvarianceSettings(folds=2, **settings))
    for name, data in stage.fit(FitInput(sorted(learned), learned.__getitem__), lambda done, total: None).items():
        (tmp_path / name).write_bytes(data)
    stage.setup(tmp_path)
    found = stage.measure(list(scored), list(scored.values()))
    table = pa.table({name: pa.array(found[name], type_) for name, type_ in stage.columns.items()})
    auc = area(stage.scores(table), planted)
    print(f"{seeds} {kind}: AUC {auc:.3f}; {stage.decide(table).notes[0]}")
    assert least <= auc <= most
