"""The invariance stage: rejects a photo whose halves tell where in the frame they lie.

Algorithm 1 of ALIS (arXiv:2104.06954) with three things put right: a telling left half counts as much as a
telling right one, every photo is scored (by a network that never saw it), and no order of files matters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from manifests import faults
from manifests.errors import InputError
from pipelines.engine.stage import RGB, FitInput, Resources, Stage, StageSettings, Verdicts, measuring

if TYPE_CHECKING:  # deciding needs no network: torch is imported where one is trained or used
    import torch

    from models.patch_classifier import PatchClassifier

PARTS = 2
LEAST_TRAINING = 64  # photos a network learns from, where the other folds have so many
WEIGHTS, FACTS = "networks.safetensors", "networks.json"


class InvarianceSettings(StageSettings):
    """What counts as telling, and how the networks learn."""

    threshold: float = Field(0.95, gt=0, le=1)  # a photo is kept below it
    flip: bool = measuring(True)  # learn from mirrored photos too, and score each together with its mirror image
    train_fraction: float = measuring(0.1, gt=0, le=1)  # of the set, seen by each network; at least 64 photos
    folds: int = measuring(5, ge=2, le=100)  # networks; each scores the photos of its own fold
    seed: int = measuring(0, ge=0)


class Invariance(Stage[InvarianceSettings]):
    """Rejects a photo with a part that a classifier places with probability `threshold` or more.

    The photos are divided into folds by their sha256. The network of a fold learns from photos of the other
    folds only and scores those of its own, also ones that arrive later. Statistics that depend on the place in
    the frame are what an infinite image cannot have.
    """

    name = "invariance"
    version = 1
    settings_type = InvarianceSettings
    min_side = 64
    columns = {"p_true": pa.list_(pa.float32()), "fold": pa.int8()}  # noqa: RUF012
    fit_needs = 16
    resources = Resources(batch_size=256)

    def fit(self, images: FitInput, progress: Any) -> Mapping[str, bytes]:
        """Train one network per fold: all weights in one safetensors file, sizes and counts in a JSON file.

        `progress` counts networks. A damaged photo is passed over, the next one learned from instead.
        """
        import safetensors.torch

        from models import patch_classifier

        settings = self.settings
        tiles, learns = self._training_sets(images)
        facts: list[dict[str, Any]] = []
        weights: dict[str, torch.Tensor] = {}
        for fold, rows in enumerate(learns):
            sizes = patch_classifier.Sizes(
                parts=PARTS, width=patch_classifier.width_for(len(rows)), mirrored=settings.flip
            )
            network = patch_classifier.train(tiles[rows], sizes, seed=settings.seed * settings.folds + fold)
            weights |= {f"{fold}.{name}": value for name, value in network.state_dict().items()}
            facts.append({"trained_on": len(rows), "sizes": asdict(sizes)})
            faults.point("fit.inside")
            progress(fold + 1, settings.folds)
        return {
            WEIGHTS: safetensors.torch.save(weights),
            FACTS: (json.dumps({"folds": facts}, indent=2) + "\n").encode(),
        }

    def _training_sets(self, images: FitInput) -> tuple[torch.Tensor, list[list[int]]]:
        """Tiles uint8 [n, parts, 3, height, width] that any fold learns from, and per fold its rows of them."""
        import torch

        from models import patch_classifier

        settings = self.settings
        wanted = max(round(settings.train_fraction * len(images.sha256s)), LEAST_TRAINING)
        tiles: list[torch.Tensor] = []
        learns: list[list[int]] = [[] for _ in range(settings.folds)]
        for sha256 in sorted(images.sha256s, key=lambda sha256: (_hash(f"order {settings.seed} {sha256}"), sha256)):
            own = fold_of(sha256, settings.folds)
            learners = [rows for fold, rows in enumerate(learns) if fold != own and len(rows) < wanted]
            if not learners:
                if all(len(rows) >= wanted for rows in learns):
                    break
                continue
            try:
                tile = patch_classifier.cut(images.read(sha256), PARTS)
            except InputError:
                continue
            for rows in learners:
                rows.append(len(tiles))
            tiles.append(tile)
        nothing = torch.empty(
            (0, PARTS, 3, patch_classifier.TILE_HEIGHT, patch_classifier.TILE_WIDTH), dtype=torch.uint8
        )
        return torch.stack(tiles) if tiles else nothing, learns

    def setup(self, artefact: Path | None) -> None:
        """Load the networks of a stored fit."""
        if artefact is None:
            raise ValueError("invariance is a fitted stage: it needs its artefact")
        import safetensors.torch

        from models import patch_classifier

        facts = json.loads((artefact / FACTS).read_text())["folds"]
        stored = safetensors.torch.load_file(artefact / WEIGHTS)
        self._networks: list[PatchClassifier] = []
        for fold, made in enumerate(facts):
            prefix = f"{fold}."
            weights = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
            self._networks.append(patch_classifier.load(patch_classifier.Sizes(**made["sizes"]), weights))

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        """`p_true`: for each half, left to right, the probability given to its true place; `fold`: which network."""
        import torch

        from models import patch_classifier

        folds = np.array([fold_of(sha256, len(self._networks)) for sha256 in sha256s], np.int64)
        p_true = torch.empty((len(sha256s), PARTS))
        if len(sha256s):
            tiles = torch.stack([patch_classifier.cut(image, PARTS) for image in images])
            for fold in np.unique(folds):
                mine = torch.from_numpy(np.flatnonzero(folds == fold))
                p_true[mine] = patch_classifier.probability_of_truth(self._networks[fold], tiles[mine])
        return {"p_true": p_true.tolist(), "fold": folds.tolist()}

    def reads(self) -> Sequence[str]:
        return ()

    def decide(self, view: pa.Table) -> Verdicts:
        """Keep what scores below `threshold`; the score, and the value, is the larger probability of the halves."""
        threshold = self.settings.threshold
        lists = view.column("p_true").combine_chunks()
        table = pc.list_flatten(lists).to_numpy().reshape(len(lists), PARTS)
        scores = table.max(axis=1).tolist()
        keep = [score < threshold for score in scores]
        reason = f"halves tell their place (score at or above {threshold:g})"
        return Verdicts(keep=keep, reason=[None if kept else reason for kept in keep], value=scores)


def fold_of(sha256: str, folds: int) -> int:
    """The fold of a photo, from its hash alone: a photo that arrives later has one too."""
    return _hash(f"fold {sha256}") % folds


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
