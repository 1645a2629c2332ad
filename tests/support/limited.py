"""Reads weights in a process that may take only so much more memory than it has: `python limited.py BYTES FILE`.

Prints a line for what came of it with PyTorch alone, and one for our own reader.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

from models import weights


def main(room: int, file: Path) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for read in (lambda path: torch.load(path, map_location="cpu", weights_only=True), weights.read_tensors):
        try:
            read(file)
        except (weights.WeightsError, RuntimeError) as error:
            print(f"{type(error).__name__}: {error}".partition("\n")[0])
        else:
            print("read")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
