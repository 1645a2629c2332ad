"""The objects stage: rejects a photo with people, animals, vehicles, furniture: what no endless landscape has.

The second step of LHQ, which its authors name (Mask R-CNN) and did not publish. Everything found is stored, weak or
small as it may be; which classes count, from which score and size on, is decided afterwards.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field

from manifests import blame
from manifests.plugins import Group
from manifests.rows import in_one
from pipelines.engine.stage import RGB, GivenFile, Resources, Stage, StageSettings, Verdicts, empty_is_none, measuring
from pipelines.filters import objects_detectors, objects_thresholds
from pipelines.filters.objects_thresholds import Threshold

if TYPE_CHECKING:  # deciding needs no network: torch is imported where things are looked for
    from models.detectors.base import Detector, Frame

BATCH = 8  # frames: on a processor more gain nothing


OptionalShare = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(empty_is_none)]


def _checked(text: str) -> str:
    objects_thresholds.parse_all(text)
    return text.strip()


class ObjectsSettings(StageSettings):
    """Which network looks, one of ours or of another package, and what of the things it finds counts."""

    detector: str = measuring("maskrcnn_resnet50_fpn_v2", description="the network that looks, by its name")
    config: str = measuring(
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x", description="detectron2: a name in its model zoo"
    )
    weights: GivenFile = Field(
        default=None, description="file of weights instead of the registered one; detectron2 wants one"
    )
    classes: GivenFile = Field(
        default=None, description="file in the form of objects_classes.txt, to use instead of it"
    )
    thresholds: Annotated[str, AfterValidator(_checked)] = Field(
        default="", description="single lines to replace in that list, such as `person 0.9 0.01, boat never`"
    )
    score: OptionalShare = Field(default=None, description="least score, for every class alike")
    area: OptionalShare = Field(default=None, description="least share of the picture, for every class alike")


class Objects(Stage[ObjectsSettings]):
    """Rejects a photo in which a thing that counts was found large enough and surely enough.

    The reason names the surest such thing and its score, rounded down to a tenth. The value is the highest score
    among the things that count by class and size, whether it was enough or not; none where there is no such thing.
    """

    name = "objects"
    version = 1
    settings_type = ObjectsSettings
    columns = {  # noqa: RUF012
        "classes": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        "boxes": pa.list_(pa.list_(pa.float32(), 4)),
        "areas": pa.list_(pa.float32()),
    }
    meanings = {  # noqa: RUF012
        "classes": "of everything that was found, in the network's order: what it is",
        "scores": "how sure the network is of each, 0 to 1",
        "boxes": "left, top, right, bottom of each, as fractions of the picture's sides",
        "areas": "of the mask of each, as a fraction of the picture",
    }
    decides_on = ("classes", "scores", "areas")
    resources = Resources(gpus=0.25, batch_size=BATCH)
    min_side = objects_detectors.MIN_SIDE  # until `setup` asks the detector, which is not imported to decide

    @cached_property
    def thresholds(self) -> Mapping[str, Threshold]:
        """What counts, by class; SetupError where a list cannot be read."""
        settings = self.settings
        listed = objects_thresholds.read(settings.classes or objects_thresholds.DEFAULTS)
        chosen = objects_thresholds.changed(listed, objects_thresholds.parse_all(settings.thresholds))
        return {
            name: Threshold(
                one.score if settings.score is None else settings.score,
                one.area if settings.area is None else settings.area,
            )
            for name, one in chosen.items()
        }

    def reads(self) -> Sequence[str]:
        return ()

    def weights_hash(self) -> str:
        """SHA-256 of the file of weights. SetupError, with what to do, where something is missing."""
        _ = self.thresholds  # a list that is wrong is told of before anything is measured
        return objects_detectors.weights_hash(self.settings.detector, self.settings.weights)

    def uses(self) -> Sequence[tuple[Group[Any], str]]:
        """The detector, where it is not one of ours."""
        name = self.settings.detector
        return () if name in objects_detectors.DETECTORS.ours else ((objects_detectors.DETECTORS, name),)

    def setup(self, artefact: Path | None) -> None:
        """Load the network."""
        del artefact
        settings = self.settings
        self.min_side = objects_detectors.min_side(settings.detector)
        self._detector: Detector = objects_detectors.make(settings.detector, settings.weights, settings.config)

    def prepare(self, image: RGB) -> Frame:
        """The picture at the detector's size."""
        return self._detector.scale.frame(image)

    def alike(self, image: Frame) -> Hashable:
        """Frames of one padded size go through the network together."""
        return self._detector.scale.padded(image)

    def measure(self, sha256s: Sequence[str], images: Sequence[Frame]) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002
        """`classes`, `scores`, `boxes` and `areas` of everything that the detector found, in its order."""
        found = self._detector.detect(images)
        if len(found) != len(images):
            raise blame.broken(type(self._detector), f"told of {len(found)} frames where it was shown {len(images)}")
        return {
            "classes": [list(one.classes) for one in found],
            "scores": [one.scores.tolist() for one in found],
            "boxes": [one.boxes.tolist() for one in found],
            "areas": [one.areas.tolist() for one in found],
        }

    def decide(self, view: pa.Table) -> Verdicts:
        """Verdicts from `classes`, `scores` and `areas`."""
        thresholds, nothing = self.thresholds, Threshold(np.inf, np.inf)
        lists = in_one(view["classes"])
        photos = pc.list_parent_indices(lists).to_numpy()
        found = pc.dictionary_encode(pc.list_flatten(lists))
        scores, areas = (pc.list_flatten(in_one(view[name])).to_numpy() for name in ("scores", "areas"))
        names: list[str] = found.dictionary.to_pylist()
        codes = found.indices.to_numpy()
        least = [thresholds.get(name, nothing) for name in names]
        large = areas >= np.array([one.area for one in least])[codes]
        sure = large & (scores >= np.array([one.score for one in least])[codes])
        value = _highest(scores, photos, large, view.num_rows)[0]
        _, surest = _highest(scores, photos, sure, view.num_rows)
        reason: npt.NDArray[np.object_] = np.full(view.num_rows, None, dtype=object)
        hit = np.flatnonzero(surest >= 0)
        value[hit] = scores[surest[hit]]
        tenths = np.floor(scores[surest[hit]].astype(np.float64) * 10 + 1e-6).astype(np.int64)
        said, which = np.unique(
            codes[surest[hit]].astype(np.int64) * 11 + tenths, return_inverse=True
        )  # 0 to 10 tenths
        texts = [f"{names[one // 11]} (score {one % 11 / 10:.1f})" for one in said.tolist()]
        reason[hit] = np.array(texts, dtype=object)[which]
        numbers: npt.NDArray[np.object_] = value.astype(object)
        numbers[np.isnan(value)] = None
        return Verdicts(keep=(surest < 0).tolist(), reason=reason.tolist(), value=numbers.tolist())


def _highest(
    scores: npt.NDArray[np.float32], photos: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Per photo the highest of the chosen scores (NaN where there is none) and its place (-1)."""
    at = np.flatnonzero(chosen)
    best = np.full(count, -np.inf)
    if len(at):
        photo = photos[at]  # in rising order: those of one photo stand together
        first = np.flatnonzero(np.diff(photo, prepend=-1))
        best[photo[first]] = np.maximum.reduceat(scores[at], first)
        at = at[scores[at] == best[photo]]
    place = np.full(count, -1, np.int64)
    place[photos[at[::-1]]] = at[::-1]  # of equals the first is written last
    best[place < 0] = np.nan
    return best, place
