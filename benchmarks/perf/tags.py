"""Speed and memory of the tags stage on one core: half a million photos with 15 tags each, a list of 320 entries.

The tags follow Zipf's law over 300,000 different ones, some of them on the list, as a crawl finds them. The baseline
is the plain way: a loop over the photos with a set of the list's tags, on tags that are Python lists already.
"""

import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from pipelines.filters.tags import Tags, TagsSettings

PHOTOS, TAGS_EACH, DISTINCT = 500_000, 15, 300_000
BASELINE_PHOTOS = 50_000  # of these, for the plain way, whose time goes with their number
LIST = Path(__file__).parents[2] / "manifests" / "tag_blacklist.txt"
PATTERNS = 40  # entries of the second list that are `prefix*`


def photos(listed: list[str]) -> pa.Table:
    """Tags of every photo: rank r comes up in proportion to 1/r; every 200th of the frequent ones is on the list."""
    rng = np.random.default_rng(0)
    words = [f"tag{number:06d}" for number in range(DISTINCT)]
    words[100 : 100 + 200 * len(listed) : 200] = listed
    ranks = np.exp(rng.random(PHOTOS * TAGS_EACH) * np.log(DISTINCT)).astype(np.int32) - 1
    offsets = pa.array(np.arange(PHOTOS + 1, dtype=np.int32) * TAGS_EACH)
    return pa.table({"tags": pa.ListArray.from_arrays(offsets, pa.array(words).take(pa.array(ranks)))})


def plain(tags: list[list[str]], blacklist: frozenset[str]) -> list[str | None]:
    """The plain way: the first tag of each photo that is on the list."""
    return [next((tag for tag in one if tag in blacklist), None) for one in tags]


def megabytes() -> float:
    """The most memory this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Measures and prints; about 15 s, with --full about 30 s."""
    options = parse_options("Speed and memory of the tags stage on one core.")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    listed = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    view = photos(listed)
    before = megabytes()
    stage = Tags(TagsSettings())
    stage.decide(view)
    peak = megabytes()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "list.txt"
        path.write_text("\n".join([*(f"{entry}*" for entry in listed[:PATTERNS]), *listed[PATTERNS:]]))
        with_patterns = Tags(TagsSettings(blacklist=path))
        few = view.slice(0, BASELINE_PHOTOS)
        lists, blacklist = few["tags"].to_pylist(), frozenset(listed)
        if [reason and reason[5:] for reason in stage.decide(few).reason] != plain(lists, blacklist):
            raise AssertionError("the stage and the plain way do not agree")
        cases = {
            "whole tags": lambda: stage.decide(view),
            "patterns": lambda: with_patterns.decide(view),
            "plain": lambda: plain(lists, blacklist),
        }
        taken = median_seconds(cases, repeats=9 if options.full else 3)
    scaled = taken["plain"] * PHOTOS / BASELINE_PHOTOS
    rows = [
        compare(f"{PHOTOS:,} photos, {len(listed)} whole tags / a loop with a set", taken["whole tags"], scaled, "s"),
        compare(f"{PHOTOS:,} photos, {PATTERNS} of them patterns / the same loop", taken["patterns"], scaled, "s"),
        Row("memory of the whole process, the photos' tags included", round(peak), "MB", None, None),
        Row("of these, before deciding", round(before), "MB", None, None),
    ]
    publish("tags", rows, options, pyarrow=pa.__version__)


if __name__ == "__main__":
    main()
