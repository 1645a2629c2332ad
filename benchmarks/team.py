"""The processes that train one run together: each holds all weights and learns from a share of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """This process among them. More than one need a process group of torch.distributed, which a launcher makes."""

    rank: int = 0
    size: int = 1
    launched: bool = False  # by another process, which may start it again and speaks for Ctrl-C

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean over the processes of each of these tensors, which have one dtype; the same bits in all of them."""
        if self.size == 1:
            return list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def told(self, number: int, device: torch.device) -> int:
        """The number that the leader gave, in every process; waits for it."""
        if self.size == 1:
            return number
        shared = torch.tensor(number, device=device)
        torch.distributed.broadcast(shared, 0)
        return int(shared)


ALONE = Team()
