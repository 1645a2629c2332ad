"""The invariance stage: rejects a photo whose parts tell where in the frame they lie.

Algorithm 1 of ALIS (arXiv:2104.06954), as published and repaired: a telling left half counts as much as a telling
right one, every photo is scored (by a network that never saw it), and no order of files matters. The published way
is one setting each: `network=wide_resnet50_2`, `split=official`, `score=official`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from manifests import faults
from manifests.errors import InputError
from pipelines.engine.stage import RGB, FitInput, Resources, Stage, StageSettings, Verdicts, measuring
from pipelines.filters.pretrained import GivenFile, find

if TYPE_CHECKING:  # deciding needs no network: torch is imported where one is trained or used
    import torch

    from pipelines.filters.place_networks import Learner

LEAST_TRAINING = 64  # photos a network learns from, where the other folds have so many
MOST_TRAINING = 20_000  # photos a ResNet learns from: 20,000 pictures of two parts are 4 GB
TRAINED, VALIDATION = 0.15, 0.05  # shares of the official split
LEARNED_FROM, KEPT_APART = -1, -2  # in place of a fold, in the official split
PRESETS = {"strictest": 0.5, "strict": 0.7, "lhq": 0.95, "loose": 0.99}  # the thresholds of the authors' release
FACTS = "networks.json"


def _preset(value: Any) -> Any:
    return PRESETS.get(value, value) if isinstance(value, str) else value


class InvarianceSettings(StageSettings):
    """What counts as telling, and how the networks learn."""

    threshold: Annotated[float, BeforeValidator(_preset)] = Field(0.95, gt=0, le=1)  # kept below it; PRESETS by name
    score: Literal["symmetric", "official"] = "symmetric"
    parts: int = measuring(2, ge=2, le=16)  # equally wide, side by side
    network: Literal["small", "resnet18", "wide_resnet50_2"] = measuring("small")
    split: Literal["folds", "official"] = measuring("folds")
    flip: bool = measuring(True)  # learn from mirrored photos too
    train_fraction: float = measuring(0.1, gt=0, le=1)  # folds: of the set, seen by each network; at least 64 photos
    folds: int = measuring(5, ge=2, le=100)  # networks; each scores the photos of its own fold
    seed: int = measuring(0, ge=0)
    weights: GivenFile = None  # what a ResNet begins with, where not the registered file in LHQ_CACHE

    @model_validator(mode="after")
    def _official_is_about_halves(self) -> Self:
        if self.score == "official" and self.parts != 2:
            raise ValueError("score=official is the probability of the right half: it needs parts=2")
        return self


class Invariance(Stage[InvarianceSettings]):
    """Rejects a photo that scores `threshold` or more with a classifier of places.

    Statistics that depend on the place in the frame are what an infinite image cannot have. With `split=folds` the
    photos are divided by their sha256; the network of a fold learns from photos of the other folds only and scores
    those of its own, also ones that arrive later. With `split=official` one network learns from 15 % of the photos,
    5 % are kept apart for its accuracy, and neither reaches the subset.

    The score `symmetric` is the largest probability that a part's true place is given. The score `official` is the
    largest P(right) of the halves. Take a lighthouse in the left half, which the network places for certain, before
    an open sea to the right that could be anywhere: P(right) is 0.01 of the left half and 0.5 of the right one. The
    official score is max(0.01, 0.5) = 0.5, and the telling photo passes; mirrored it would score
    max(0.5, 0.99) = 0.99. The symmetric score is max(1 - 0.01, 0.5) = 0.99 either way.
    """

    name = "invariance"
    version = 2
    settings_type = InvarianceSettings
    min_side = 64
    columns = {  # noqa: RUF012
        "p_true": pa.list_(pa.float32()),  # of each part, left to right; null where the network learned from the photo
        "told": pa.int8(),  # parts whose most probable place is the true one
        "fold": pa.int8(),  # which network; LEARNED_FROM, KEPT_APART
    }
    fit_needs = 16
    resources = Resources(batch_size=256)

    def __init__(self, settings: InvarianceSettings) -> None:
        super().__init__(settings)
        if settings.network != "small":
            self.min_side = 256
            self.fit_unit = "epochs"
            self.resources = Resources(batch_size=32)

    def weights_hash(self) -> str | None:
        """SHA-256 of what a ResNet begins with; SetupError where the file is missing."""
        if self.settings.network == "small":
            return None
        return find(self.settings.network, self.settings.weights).sha256

    # Learning

    def fit(self, images: FitInput, progress: Callable[[int, int], None]) -> Mapping[str, bytes]:
        """Train one network per fold: a safetensors file each, and sizes and counts in a JSON file.

        A damaged photo is passed over, the next one learned from instead.
        """
        import safetensors.torch

        learner = self._learner()
        tiles, learns = self._training_sets(images)
        files: dict[str, bytes] = {}
        facts: list[dict[str, Any]] = []
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, len(learns) * learner.steps)

        for fold, rows in enumerate(learns):
            weights, sizes = learner.train(tiles[rows], self.settings.seed * self.settings.folds + fold, advance)
            files[_weights_file(fold)] = safetensors.torch.save(weights)
            facts.append({"trained_on": len(rows), "sizes": sizes})
            faults.point("fit.inside")
        return {**files, FACTS: (json.dumps({"networks": facts}, indent=2) + "\n").encode()}

    def _learner(self) -> Learner:
        from pipelines.filters.place_networks import ResNet, Small

        settings = self.settings
        if settings.network == "small":
            return Small(settings.parts, settings.flip)
        file = find(settings.network, settings.weights).path
        return ResNet(settings.network, settings.parts, settings.flip, file)

    def _training_sets(self, images: FitInput) -> tuple[torch.Tensor, list[list[int]]]:
        """Tiles uint8 [n, parts, 3, height, width] that any network learns from, and per network its rows of them."""
        import torch

        settings = self.settings
        official = settings.split == "official"
        learns: list[list[int]] = [[] for _ in range(1 if official else settings.folds)]
        wanted = max(round(settings.train_fraction * len(images.sha256s)), LEAST_TRAINING)
        wanted = len(images.sha256s) if official else wanted
        wanted = wanted if settings.network == "small" else min(wanted, MOST_TRAINING)
        tiles: list[torch.Tensor] = []
        for sha256 in sorted(images.sha256s, key=lambda sha256: (_hash(f"order {settings.seed} {sha256}"), sha256)):
            own = self._fold(sha256)
            if official:
                learners = learns if own == LEARNED_FROM and len(learns[0]) < wanted else []
            else:
                learners = [rows for fold, rows in enumerate(learns) if fold != own and len(rows) < wanted]
            if not learners:
                if all(len(rows) >= wanted for rows in learns):
                    break
                continue
            try:
                tile = self._cut(images.read(sha256))
            except InputError:
                continue
            for rows in learners:
                rows.append(len(tiles))
            tiles.append(tile)
        nothing = self._cut(np.zeros((1, 1, 3), np.uint8))[None][:0]
        return torch.stack(tiles) if tiles else nothing, learns

    def _fold(self, sha256: str) -> int:
        """Which network scores a photo, from its hash alone: a photo that arrives later has one too."""
        if self.settings.split == "folds":
            return fold_of(sha256, self.settings.folds)
        share = _hash(f"split {self.settings.seed} {sha256}") / 2**64
        return LEARNED_FROM if share < TRAINED else KEPT_APART if share < TRAINED + VALIDATION else 0

    def _cut(self, image: RGB) -> torch.Tensor:
        from pipelines.filters.place_networks import cut

        return cut(self.settings.network, image, self.settings.parts)

    # Measuring

    def setup(self, artefact: Path | None) -> None:
        """Load the networks of a stored fit."""
        if artefact is None:
            raise ValueError("invariance is a fitted stage: it needs its artefact")
        import safetensors.torch

        from pipelines.filters.place_networks import judge

        self._judges = [
            judge(self.settings.network, made["sizes"], safetensors.torch.load_file(artefact / _weights_file(fold)))
            for fold, made in enumerate(json.loads((artefact / FACTS).read_text())["networks"])
        ]

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        """`p_true`, `told` and `fold` (see `columns`) of each photo."""
        import torch

        folds = np.array([self._fold(sha256) for sha256 in sha256s], np.int64)
        p_true: list[list[float] | None] = [None] * len(folds)
        told: list[int | None] = [None] * len(folds)
        for fold in np.unique(folds[folds != LEARNED_FROM]):
            mine = np.flatnonzero(folds == fold).tolist()
            tiles = torch.stack([self._cut(images[at]) for at in mine])
            found = self._judges[max(fold, 0)](tiles)  # [n, part, place]
            right = (found.argmax(2) == torch.arange(self.settings.parts)).sum(1)
            true = found.diagonal(dim1=1, dim2=2)
            for at, ps, count in zip(mine, true.tolist(), right.tolist(), strict=True):
                p_true[at], told[at] = ps, count
        return {"p_true": p_true, "told": told, "fold": folds.tolist()}

    def telling_regions(self, sha256: str, image: RGB) -> npt.NDArray[np.float32]:
        """How much each region tells its network, [rows, columns] over the whole image; see `models.telling`."""
        from models import telling

        judge = self._judges[max(self._fold(sha256), 0)]
        return telling.regions(judge, self._cut(image)).numpy()

    # Deciding

    def decide(self, view: pa.Table) -> Verdicts:
        """Keep what scores below `threshold`; in the official split, none that it learned from or kept apart."""
        settings = self.settings
        scores = self.scores(view)
        fold = view.column("fold").to_numpy()
        reasons = np.full(view.num_rows, None, dtype=object)
        parts = "halves" if settings.parts == 2 else "parts"
        reasons[scores >= settings.threshold] = f"{parts} tell their place (score at or above {settings.threshold:g})"
        reasons[fold == LEARNED_FROM] = "learned from by the classifier (official split)"
        reasons[fold == KEPT_APART] = "kept apart for validation (official split)"
        value = [None if math.isnan(score) else score for score in scores.tolist()]
        return Verdicts(keep=(reasons == None).tolist(), reason=reasons.tolist(), value=value)  # noqa: E711 (elementwise)

    def scores(self, view: pa.Table) -> npt.NDArray[np.float64]:
        """The score of each row, NaN where the network learned from the photo."""
        p_true = _per_part(view.column("p_true"), self.settings.parts)
        if self.settings.score == "official":
            p_true = np.stack([1 - p_true[:, 0], p_true[:, 1]], 1)  # P(right) of the left half and of the right one
        return p_true.max(1) if len(p_true) else np.zeros(0)

    def about(self, view: pa.Table) -> Mapping[str, float | int | str]:
        """Accuracy on photos no network learned from, which is the set's own answer, with a 95 % interval.

        The interval is Wilson's (1927), of as many trials as photos: the parts of one photo hang together.
        """
        told = pc.drop_null(view.column("told")).to_numpy()
        if not len(told):
            return {}
        accuracy = float(told.mean()) / self.settings.parts
        low, high = wilson(accuracy, len(told))
        return {
            "held_out_accuracy": accuracy,
            "from": low,
            "to": high,
            "chance": 1 / self.settings.parts,
            "photos": len(told),
        }


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share of n trials, z standard errors wide to either side."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def fold_of(sha256: str, folds: int) -> int:
    """The fold of a photo, from its hash alone."""
    return _hash(f"fold {sha256}") % folds


def _per_part(lists: pa.ChunkedArray, parts: int) -> npt.NDArray[np.float64]:
    """[rows, parts] of lists of `parts` numbers; NaN where a row has none."""
    out = np.full((len(lists), parts), np.nan)
    there = np.asarray(pc.is_valid(lists), dtype=bool)
    out[there] = pc.list_flatten(lists).to_numpy().reshape(-1, parts)
    return out


def _weights_file(fold: int) -> str:
    return f"network-{fold}.safetensors"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
