"""Work on actors of Ray, which is started when the first item is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.engine.crew import Crew
from pipelines.engine.feed import Feed
from pipelines.engine.pool import Batch, Worker, as_feed, first_items
from pipelines.engine.ray_session import RaySession

_BATCHES_PER_WORKER = 4  # at least so many, so that the workers end together


class OnRay:
    """Actors on a local Ray or a cluster. Leaves a tenth of the processors to the readers and the driver."""

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._workers = workers
        self._session = RaySession(address)

    def __enter__(self) -> OnRay:
        self._session.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._session.__exit__(*error)

    def run(
        self,
        worker: Worker[Any],
        items: Sequence[Any] | Feed[Any],
        batch: int,
        commit: Callable[[Batch], None],
        *,
        gpus: float = 0.0,
        at_most: int | None = None,
        queued: int = 2,
    ) -> None:
        feed = as_feed(items)
        if not first_items(feed):
            return
        self._session.start()
        cores = self._session.cores()
        count = self._workers or cores
        count = min(count, at_most or count)
        gpus, count = _share_gpus(gpus, count, self._session.gpus())
        if feed.ended:  # known in number: small batches, so that the workers end together
            count = min(count, len(feed))
            batch = max(1, min(batch, -(-len(feed) // (count * _BATCHES_PER_WORKER))))
        options = {"num_cpus": round(min(1.0, 0.9 * cores / count), 3), "num_gpus": gpus}
        crew = Crew(worker, count, options, max(1, cores // count), queued)
        try:
            crew.work(feed, batch, commit)
        finally:
            crew.dismiss()


def _share_gpus(wanted: float, count: int, there: float) -> tuple[float, int]:
    """The share of a graphics card that each worker gets, and how many workers that makes; none where none is."""
    if not wanted or not there:
        return 0.0, count
    return wanted, max(1, min(count, int(there / wanted)))
