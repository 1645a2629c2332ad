"""Where networks are run: the device, its threads, its allocator."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import MisuseError

if TYPE_CHECKING:
    import torch


class DeviceName(StrEnum):
    """What `--device` may say."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Device = Annotated[DeviceName, typer.Option("--device", help="auto: the GPU where there is one.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", metavar="N", min=1, max=1024, show_default="one per core", help="CPU threads to compute with."
    ),
]


def prepare(device: DeviceName, threads: int | None) -> torch.device:
    """Fix the threads and the allocator of this process; returns the device. Before PyTorch is imported.

    Threads that wait sleep, because spinning ones starve each other where the cores are shared. Arithmetic is
    float32 in full, on a GPU too.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from models.allocator import keep_memory
    from pipelines.engine import threads as pool

    keep_memory()
    import torch

    pool.fix(threads or pool.cores())
    if device is DeviceName.CUDA and not torch.cuda.is_available():
        raise MisuseError("--device cuda: PyTorch finds no GPU here; leave it out to compute on the CPU")
    torch.backends.cudnn.allow_tf32 = False
    use_gpu = device is not DeviceName.CPU and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")
