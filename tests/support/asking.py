"""A process that asks the Unsplash API as fast as its quota lets it; run by tests, and killed by them.

`python asking.py URL STATE COUNT SECONDS REQUESTS`, the key in UNSPLASH_ACCESS_KEY; prints a line per reply.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipelines.sources import unsplash
from pipelines.web import keys
from pipelines.web.clock import Clock
from pipelines.web.quota import Quota
from pipelines.web.rate import Rate


def start(url: str, state: Path, rate: Rate, requests: int, key: str) -> subprocess.Popen[str]:
    """Start such a process."""
    return subprocess.Popen(
        [sys.executable, __file__, url, str(state), str(rate.count), str(rate.seconds), str(requests)],
        env={**os.environ, keys.UNSPLASH_KEY: key, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(url: str, state: str, count: str, seconds: str, requests: str) -> None:
    key = keys.take().unsplash
    assert key is not None
    clock = Clock()
    quota = Quota(key.fingerprint(), Rate(int(count), float(seconds)), Path(state), clock)
    api = unsplash.connect(key, quota, "lhq-toolkit/test", url=url, clock=clock, tell=lambda line: None)
    for number in range(int(requests)):
        api.get(f"{url}/search/photos", {"query": "nothing", "page": str(number + 1)})
        print(number, flush=True)


if __name__ == "__main__":
    _ask(*sys.argv[1:])
