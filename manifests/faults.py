"""Named places where a test may kill the process, as a power cut would.

`LHQ_FAULT=part.write.inside` kills at the first passage of that point, `part.write.inside:3` at the third.
Unset, a point costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "part.write.inside",  # half of a part's bytes are on disk under the temporary name
    "part.merge.before_rename",  # the merged part is complete, under its temporary name
    "generation.inside",  # half of a rewritten part's bytes are on disk under the temporary name
    "generation.before_name",  # a rewrite is complete, dataset.json still names the old generations
    "remove.named",  # dataset.json names the new generations, nothing else of a take-down is gone yet
    "remove.inside",  # image files of a take-down are gone, databases and caches not yet
    "crawl.placed",  # images are placed, their rows not yet committed
    "fit.inside",  # a fit has learned something and stored nothing
    "fit.before_store",  # the artefact's files are written, its folder not yet named
    "measure.returned",  # a batch is measured, its rows not yet committed
    "recipe.before_replace",  # the new recipe is written, the old one still in place
    "train.step",  # a step of a training is made, its losses perhaps not yet written
    "train.judged",  # a checkpoint is measured, others not yet pruned
    "checkpoint.before_rename",  # a checkpoint's files are written, its folder not yet named
    "export.picture",  # one picture is placed, others of its photo are not
    "export.placed",  # pictures are placed in the export, the batch not yet counted
    "export.packing",  # the archive is under its temporary name, the next picture (a shard: its place) still missing
    "export.packed",  # the archive is in its place, its pictures still stand in the workplace
    "export.sent",  # all files of an export are at its URL, but the sums
    "pictures.inside",  # one training picture more is in the cache's file, which still has its temporary name
    "pictures.before_name",  # the cache's file is in its place, what is told of it is not written yet
)

_passed: dict[str, int] = {}


def point(name: str) -> None:
    """Die here by SIGKILL if the environment names this point; otherwise do nothing."""
    wanted = os.environ.get("LHQ_FAULT")
    if not wanted:
        return
    wanted_name, _, count = wanted.partition(":")
    if wanted_name != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
