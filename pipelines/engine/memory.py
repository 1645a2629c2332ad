"""A graphics card that runs out of memory: told apart from other errors, and met with smaller batches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from manifests.errors import SetupError

T = TypeVar("T")


class Halving:
    """Calls a function on parts of a list; where one is too large for the graphics card, on halves of it.

    The size that fitted is kept for later calls: other programs rarely give their memory back.
    """

    def __init__(self) -> None:
        self._most: int | None = None

    def call(self, work: Callable[[Sequence[T]], Any], items: Sequence[T]) -> list[tuple[Sequence[T], Any]]:
        """(part, what `work` said of it) for all items in their order. SetupError where not even one has room."""
        done: list[tuple[Sequence[T], Any]] = []
        at = 0
        while at < len(items):
            part = items[at : at + self._most] if self._most else items[at:]
            fits, result = _attempt(work, part)
            if fits:
                done.append((part, result))
                at += len(part)
                continue
            if len(part) == 1:
                raise SetupError(
                    "the graphics card has not even memory for one image: end what else runs on it, run fewer "
                    "--workers, or hide it with CUDA_VISIBLE_DEVICES= to compute on the processor"
                )
            self._most = len(part) // 2
            _give_back()
        return done


def _attempt(work: Callable[[Sequence[T]], Any], part: Sequence[T]) -> tuple[bool, Any]:
    """Whether it fitted, and what `work` said. On return nothing holds the tensors of a failed attempt any more."""
    try:
        return True, work(part)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        return False, None


def _is_out_of_memory(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")  # a stage that has not imported it cannot have filled the card with it
    if torch is None:
        return False
    return isinstance(error, torch.cuda.OutOfMemoryError) or "_STATUS_ALLOC_FAILED" in str(error)


def _give_back() -> None:
    """Return what torch holds in reserve to the card, so that the smaller batch finds it in one piece."""
    torch = sys.modules["torch"]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
