"""Which of how many workers one is: limits are kept by sharing them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Worker `index` (from 0) of `count`. `again`: it replaces one that died, whose use of a limit is unknown."""

    index: int = 0
    count: int = 1
    again: bool = False

    def of(self, limit: int) -> int:
        """This worker's part of a whole number; the parts of all add up to it."""
        return limit // self.count + (self.index < limit % self.count)
