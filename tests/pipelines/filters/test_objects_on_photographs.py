"""With the published weights: precision and recall on photographs of COCO whose things are known.

Runs where the weights are in LHQ_CACHE and the photographs in the folder that LHQ_PHOTOS names, or beside the checkout.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.decode import decode
from models.weights import REGISTRY, cache_folder
from pipelines.filters import objects_thresholds
from pipelines.filters.objects import Objects, ObjectsSettings

PHOTOS = Path(os.environ.get("LHQ_PHOTOS") or Path(__file__).parents[4] / "shared" / "photos") / "coco100"
THRESHOLDS = objects_thresholds.read(objects_thresholds.DEFAULTS)


def truth() -> dict[str, bool]:
    """File name -> whether the photograph holds a thing that counts by class and size."""
    facts = json.loads((PHOTOS / "instances.json").read_text())
    names = {one["id"]: one["name"] for one in facts["categories"]}
    areas: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for one in facts["annotations"]:
        areas[one["image_id"]].append((names[one["category_id"]], one["area"]))
    holds = {}
    for image in facts["images"]:
        pixels = image["width"] * image["height"]
        things = areas[image["id"]]
        holds[image["file_name"]] = any(area / pixels >= THRESHOLDS[name].area for name, area in things)
    return holds


@pytest.mark.skipif(not (PHOTOS / "instances.json").is_file(), reason=f"{PHOTOS} is not here")
def test_the_truth_can_be_read():
    holds = truth()
    assert len(holds) == 100
    assert 60 < sum(holds.values()) < 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not (PHOTOS / "instances.json").is_file(), reason=f"{PHOTOS} is not here")
@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn"])
def test_the_published_networks_find_the_things_of_coco(name):
    if not (cache_folder() / REGISTRY[name].file).is_file():
        pytest.skip(f"the weights are not in LHQ_CACHE: lhq weights fetch {name}")
    stage = Objects(ObjectsSettings(detector=name))
    stage.setup(None)
    holds = truth()
    columns: dict[str, list] = {column: [] for column in stage.columns}
    for file in holds:
        frame = stage.prepare(decode((PHOTOS / file).read_bytes(), stage.min_side))
        for column, values in stage.measure([file], [frame]).items():
            columns[column].extend(values)
    view = pa.table({column: pa.array(values, stage.columns[column]) for column, values in columns.items()})
    rejected = ~np.array(stage.decide(view).keep)
    held = np.array(list(holds.values()))
    recall, precision = rejected[held].mean(), held[rejected].mean()
    print(f"{name}: recall {recall:.3f}, precision {precision:.3f} of {held.sum()} photographs that hold something")
    assert recall >= 0.9
    assert precision >= 0.9
