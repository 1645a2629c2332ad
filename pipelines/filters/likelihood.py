"""The likelihood stage: rejects the photos that are least like the rest of the set.

The last step of LHQ, which its authors mention in one line (outliers by the statistics of an Inception network) and
never published. Here: features of each photo, one Gaussian of the set that its outliers cannot bend, the Mahalanobis
distance from it, and the farthest share is dropped. Features and statistics are those of the Frechet distance.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from manifests import faults
from manifests.errors import InputError
from manifests.rows import in_one
from pipelines.engine import fits
from pipelines.engine.stage import RGB, FitInput, GivenFile, Resources, Stage, StageSettings, Verdicts, measuring
from pipelines.filters.pretrained import find

if TYPE_CHECKING:  # deciding needs no network: torch is imported where features are made
    from torch import Tensor

    from models.features import Extractor

SIDE = 128  # pixels: what the small network, which has no size of its own, is given
FIT_BATCH, FIT_BYTES = 32, 128 * 1024**2  # pictures, and bytes of them, held at once while fitting
GAUSSIAN, FACTS = "gaussian.safetensors", "gaussian.json"


class LikelihoodSettings(StageSettings):
    """How many are dropped, and what they are compared by."""

    fraction: float = Field(
        default=0.05, ge=0, lt=1, description="of the photos that reach the stage the farthest are dropped"
    )
    features: Literal["inception", "small"] = measuring(
        "inception", description="the 2015 Inception, or a small fixed network that needs no file"
    )
    trust: float = measuring(
        0.75, ge=0.5, le=1, description="share of the set that is surely no outlier: the Gaussian is made of it"
    )
    sample: int = measuring(20_000, ge=16, description="photos that the Gaussian is made of, at most")
    weights: GivenFile = Field(default=None, description="the Inception's file, where it does not lie in LHQ_CACHE")


class Likelihood(Stage[LikelihoodSettings]):
    """Drops the `fraction` of photos whose features lie farthest from the Gaussian of the set.

    Of each photo the largest square in its middle is looked at, as exports cut it. The Gaussian is the regularised
    minimum covariance determinant of `models.robust`: made of the `trust` share of photos that lie nearest to it, so
    that outliers up to the other share do not bend it. What is far from the rest in any way ranks high, a broken
    picture or a rare and beautiful one; what is merely bland does not.
    """

    name = "likelihood"
    version = 1
    settings_type = LikelihoodSettings
    min_side = 299  # the Inception's size
    columns = {"distance": pa.float64()}  # noqa: RUF012
    meanings = {"distance": "Mahalanobis distance of the picture's features from the set's Gaussian"}  # noqa: RUF012
    fit_needs = 16
    fit_unit = "photos"
    resources = Resources(batch_size=32)

    def reads(self) -> Sequence[str]:
        """Which file a photo has."""
        return ("sha256",)

    def weights_hash(self) -> str | None:
        """SHA-256 of the Inception's file; SetupError where it is missing."""
        if self.settings.features == "small":
            return None
        return find("inception", self.settings.weights).sha256

    def fit(self, images: FitInput, progress: Callable[[int, int], None]) -> Mapping[str, bytes]:
        """The Gaussian in a safetensors file, and how it was made in a JSON file; `progress` counts photos.

        A damaged photo is passed over, the next one taken instead.
        """
        import safetensors.torch
        import torch

        from models import robust

        extractor = self._extractor()
        wanted = min(self.settings.sample, len(images.sha256s))
        found: list[Tensor] = []
        done = 0
        for batch in self._batches(images, wanted):
            found.append(extractor.each(batch).cpu())
            faults.point("fit.inside")
            progress(done := done + len(batch), wanted)
        features = torch.cat(found) if found else torch.empty(0, extractor.dims)
        fitted = robust.fit(features, self.settings.trust)
        facts = {
            "features": extractor.label,
            "photos": len(features),
            "trusted": fitted.trusted,
            "shrinkage": fitted.shrinkage,
            "steps": fitted.steps,
        }
        return {
            GAUSSIAN: safetensors.torch.save(fitted.gaussian.state()),
            FACTS: (json.dumps(facts, indent=2) + "\n").encode(),
        }

    def setup(self, artefact: Path | None) -> None:
        """Load the Gaussian of a stored fit, and the network."""
        if artefact is None:
            raise ValueError("likelihood is a fitted stage: it needs its artefact")
        import safetensors.torch

        from models.robust import RobustGaussian

        self._network = self._extractor()
        with fits.loading(artefact):
            self._gaussian = RobustGaussian.of(safetensors.torch.load_file(artefact / GAUSSIAN), self._network.dims)

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002
        """`distance`: Mahalanobis distance of the photo's features from the set's Gaussian, 0 or more."""
        features = self._network.each([square(image, self.settings.features) for image in images])
        return {"distance": self._gaussian.distances(features).tolist()}

    def decide(self, view: pa.Table) -> Verdicts:
        """Reject the farthest `fraction`, rounded down; photos that share a file share its place."""
        distance = view.column("distance").to_numpy()
        files = in_one(view.column("sha256")).dictionary_encode()
        of_file = np.empty(len(files.dictionary))
        of_file[files.indices.to_numpy()] = distance
        dropped = math.floor(self.settings.fraction * len(of_file) + 1e-9)  # 0.1 * 30 is a little more than 3
        keep = ~_farthest(of_file, files.dictionary, dropped)[files.indices.to_numpy()]
        reason = f"unlike the set (among the farthest {self.settings.fraction:.3g})"
        return Verdicts(
            keep=keep.tolist(), reason=[None if kept else reason for kept in keep.tolist()], value=distance.tolist()
        )

    def _extractor(self) -> Extractor:
        import torch

        from models import features

        if self.settings.features == "small":
            return features.small()
        found = find("inception", self.settings.weights)
        return features.inception(found.path, "cuda" if torch.cuda.is_available() else "cpu")

    def _batches(self, images: FitInput, wanted: int) -> Iterator[list[Tensor]]:
        """Squares of the first `wanted` photos that can be decoded, in an order that no name or date has a part in."""
        batch: list[Tensor] = []
        held = taken = 0
        for sha256 in sorted(images.sha256s, key=lambda sha256: hashlib.sha256(f"order {sha256}".encode()).digest()):
            if taken == wanted:
                break
            try:
                batch.append(square(images.read(sha256), self.settings.features))
            except InputError:
                continue
            taken += 1
            held += batch[-1].nbytes
            if len(batch) >= FIT_BATCH or held >= FIT_BYTES:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch


def _farthest(distances: npt.NDArray[np.float64], sha256s: pa.StringArray, count: int) -> npt.NDArray[np.bool_]:
    """Which are the `count` farthest; among equals those of smaller sha256."""
    if count == 0:
        return np.zeros(len(distances), dtype=bool)
    last = np.partition(distances, len(distances) - count)[len(distances) - count]
    farthest: npt.NDArray[np.bool_] = distances > last
    equal = np.flatnonzero(distances == last)
    order = np.argsort(np.array(sha256s.take(pa.array(equal)).to_pylist()))
    farthest[equal[order[: count - int(farthest.sum())]]] = True
    return farthest


def square(image: RGB, features: str) -> Tensor:
    """The largest square in the middle of an image: uint8 [3, side, side], for the small network of SIDE pixels.

    There every pixel is the mean of those it covers; the Inception comes with its own way to its size.
    """
    import torch
    from torch.nn import functional

    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = torch.tensor(image[top : top + side, left : left + side]).permute(2, 0, 1)
    if features != "small":
        return cut.contiguous()
    return functional.adaptive_avg_pool2d(cut[None].float(), SIDE)[0].round().to(torch.uint8)
