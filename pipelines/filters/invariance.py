"""The invariance stage: rejects a photo whose parts tell where in the frame they lie.

Algorithm 1 of ALIS (arXiv:2104.06954), as published and repaired: a telling left half counts as much as a telling
right one, every photo is scored (by a network that never saw it), and no order of files matters. The published way
is one setting each: `network=wide_resnet50_2`, `split=official`, `score=official`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from manifests import faults, plain_json
from pipelines import wilson
from pipelines.engine import fits
from pipelines.engine.stage import RGB, FitInput, GivenFile, Resources, Stage, StageSettings, Verdicts, measuring
from pipelines.filters.pretrained import find

if TYPE_CHECKING:  # deciding needs no network: torch is imported where one is trained or used
    import torch

    from pipelines.filters.place_lessons import Lessons
    from pipelines.filters.place_networks import Learner

MOST_TRAINING = 20_000  # photos a ResNet learns from: 20,000 pictures of two parts are 4 GB
LEARNED_FROM, KEPT_APART = -1, -2  # in place of a fold, in the official split
PRESETS = {"strictest": 0.5, "strict": 0.7, "lhq": 0.95, "loose": 0.99}  # the thresholds of the authors' release
FACTS = "networks.json"


def _preset(value: Any) -> Any:
    """A threshold given by its name."""
    if isinstance(value, str) and value[:1].isalpha() and value not in PRESETS:
        raise ValueError(f"it must be a number up to 1, or one of {', '.join(PRESETS)}")
    return PRESETS.get(value, value) if isinstance(value, str) else value


Threshold = Annotated[float, BeforeValidator(_preset)]  # a number, or the name of one in PRESETS


class InvarianceSettings(StageSettings):
    """What counts as telling, and how the networks learn."""

    threshold: Threshold = Field(
        default=0.95,
        gt=0,
        le=1,
        description="kept below it; by name: " + ", ".join(f"`{name}` {value}" for name, value in PRESETS.items()),
    )
    score: Literal["symmetric", "official"] = Field(
        default="symmetric", description="or the release's, which a left half that tells its place passes"
    )
    parts: int = measuring(2, ge=2, le=16, description="vertical parts, equally wide; two are halves")
    network: Literal["small", "resnet18", "wide_resnet50_2"] = measuring(
        "small", description="the classifier; a ResNet begins from pretrained weights, the wide one is the paper's"
    )
    split: Literal["folds", "official"] = measuring(
        "folds",
        description="or the release's: one network learns from 15 %, 5 % are kept apart, both are lost to the subset",
    )
    flip: bool = measuring(True, description="learn from mirrored photos too, as published")
    train_fraction: float = measuring(
        0.1, gt=0, le=1, description="folds: share of the set that each network learns from, at least 160 photos"
    )
    folds: int = measuring(5, ge=2, le=100, description="so many networks; each scores the photos of its own fold")
    seed: int = measuring(0, ge=0, description="of the order of the photos, and of the networks")
    weights: GivenFile = Field(
        default=None, description="what a ResNet begins with, where not the registered file in LHQ_CACHE"
    )

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
    version = 3
    settings_type = InvarianceSettings
    min_side = 64
    columns = {  # noqa: RUF012
        "p_true": pa.list_(pa.float32()),
        "told": pa.int8(),
        "fold": pa.int8(),
    }
    meanings = {  # noqa: RUF012
        "p_true": "probability of the true place of each part, left to right; null where the network learned from "
        "the photo",
        "told": "parts whose most probable place is the true one",
        "fold": f"the network that scored it; in the official split {LEARNED_FROM} for a photo it learned from, "
        f"{KEPT_APART} for one kept apart",
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
        """A safetensors file per network; in a JSON file their sizes, the split, and the held-out accuracy."""
        import safetensors.torch

        from pipelines.filters import place_networks

        learner = self._learner()
        lessons = self._lessons(images)
        files: dict[str, bytes] = {}
        networks: list[dict[str, Any]] = []
        told: list[int] = []
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            progress(done, len(lessons.learns) * learner.steps)

        for fold, rows in enumerate(lessons.learns):
            seed = self.settings.seed * self.settings.folds + fold
            weights, sizes = learner.train(lessons.learned(fold), seed, advance)
            files[_weights_file(fold)] = safetensors.torch.save(weights)
            networks.append({"trained_on": len(rows), "sizes": sizes})
            judge = place_networks.judge(self.settings.network, sizes, weights)
            held_out = lessons.held_out(fold)
            for first in range(0, len(held_out), self.resources.batch_size):
                told += _told(judge(held_out[first : first + self.resources.batch_size]))
            faults.point("fit.inside")
        facts = {
            "networks": networks,
            "held_out": self._accuracy(np.array(told)),
            "learned_from": lessons.learned_from,
            "kept_apart": lessons.kept_apart,
        }
        return {**files, FACTS: (json.dumps(facts, indent=2) + "\n").encode()}

    def _learner(self) -> Learner:
        from pipelines.filters.place_networks import ResNet, Small

        settings = self.settings
        if settings.network == "small":
            return Small(settings.parts, settings.flip)
        file = find(settings.network, settings.weights).path
        return ResNet(settings.network, settings.parts, settings.flip, file)

    def _lessons(self, images: FitInput) -> Lessons:
        from pipelines.filters import place_lessons

        settings = self.settings
        most = len(images.sha256s) if settings.network == "small" else MOST_TRAINING
        photos = place_lessons.Reader(images.sha256s, lambda sha256: self._cut(images.read(sha256)), most)
        if settings.split == "official":
            return place_lessons.official(photos, settings.seed)
        return place_lessons.in_folds(photos, settings.folds, settings.train_fraction, settings.seed)

    def _accuracy(self, told: npt.NDArray[np.int64]) -> dict[str, float | int] | None:
        """Share of parts whose place was told, of photos that no network learned from, with a 95 % interval.

        `told`: of each photo the number of its parts. The interval is of as many trials as photos:
        the parts of one photo hang together.
        """
        if not len(told):
            return None
        accuracy = float(told.mean()) / self.settings.parts
        low, high = wilson.interval(accuracy, len(told))
        return {"accuracy": accuracy, "low": low, "high": high, "chance": 1 / self.settings.parts, "photos": len(told)}

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

        with fits.loading(artefact):
            facts = plain_json.mapping((artefact / FACTS).read_bytes())
            self.judges = [
                judge(self.settings.network, made["sizes"], safetensors.torch.load_file(artefact / _weights_file(fold)))
                for fold, made in enumerate(facts["networks"])
            ]
            learned, apart = facts["learned_from"], facts["kept_apart"]
            self._apart = dict.fromkeys(learned, LEARNED_FROM) | dict.fromkeys(apart, KEPT_APART)

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        """`p_true`, `told` and `fold` (see `columns`) of each photo."""
        folds = np.array([self._fold(sha256) for sha256 in sha256s], np.int64)
        p_true: list[list[float] | None] = [None] * len(folds)
        told: list[int | None] = [None] * len(folds)
        for fold in np.unique(folds[folds != LEARNED_FROM]):
            mine = np.flatnonzero(folds == fold).tolist()
            found = self.judges[max(fold, 0)]([self._cut(images[at]) for at in mine])  # [n, part, place]
            true = found.diagonal(dim1=1, dim2=2)
            for at, ps, count in zip(mine, true.tolist(), _told(found), strict=True):
                p_true[at], told[at] = ps, count
        return {"p_true": p_true, "told": told, "fold": folds.tolist()}

    def _fold(self, sha256: str) -> int:
        """Which network scores a photo, or that it was learned from or kept apart."""
        from pipelines.filters.place_lessons import fold_of, mark

        return self._apart.get(mark(sha256)) or fold_of(sha256, len(self.judges))

    def heat(self, sha256: str, image: RGB) -> npt.NDArray[np.float32]:
        """How much each region tells its network: [rows, columns] over the whole image, as `models.telling` has it."""
        from models import telling

        judge = self.judges[max(self._fold(sha256), 0)]
        cells: npt.NDArray[np.float32] = telling.regions(judge, self._cut(image)).numpy()
        return cells

    # Deciding

    def reads(self) -> Sequence[str]:
        return ()

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
        keep = (scores < settings.threshold) & (fold >= 0)
        value = scores.astype(object)
        value[np.isnan(scores)] = None
        return Verdicts(keep.tolist(), reasons.tolist(), value.tolist(), notes=self._notes(view))

    def scores(self, view: pa.Table) -> npt.NDArray[np.float64]:
        """The score of each row, NaN where the network learned from the photo."""
        p_true = _per_part(view.column("p_true"), self.settings.parts)
        if self.settings.score == "official":
            p_true = np.stack([1 - p_true[:, 0], p_true[:, 1]], 1)  # P(right) of the left half and of the right one
        scores: npt.NDArray[np.float64] = p_true.max(1)
        return scores

    def _notes(self, view: pa.Table) -> tuple[str, ...]:
        """The set's own answer: how well places are told in photos that no network learned from."""
        told = pc.drop_null(view.column("told")).to_numpy()  # null in measurements of version 1 too
        found = self._accuracy(told)
        if found is None:
            return ()
        return (
            f"held-out accuracy {found['accuracy']:.3f} (95 % interval {found['low']:.3f} to {found['high']:.3f}, "
            f"chance {found['chance']:.3f}) over {found['photos']:,} photos",
        )


def _told(probabilities: torch.Tensor) -> list[int]:
    """Of each photo in [n, part, place] the number of parts whose most probable place is the true one."""
    import torch

    places = torch.arange(probabilities.shape[1])
    counts: list[int] = (probabilities.argmax(2) == places).sum(1).tolist()
    return counts


def _per_part(lists: pa.ChunkedArray, parts: int) -> npt.NDArray[np.float64]:
    """[rows, parts] of lists of `parts` numbers; NaN where a row has none."""
    out = np.full((len(lists), parts), np.nan)
    there = pc.is_valid(lists).to_numpy()
    out[there] = pc.list_flatten(lists).to_numpy().reshape(-1, parts)
    return out


def _weights_file(fold: int) -> str:
    return f"network-{fold}.safetensors"
