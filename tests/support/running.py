"""Starting `lhq` as a user does, and killing it as a power cut does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def lhq_command(*arguments: object) -> list[str]:
    """The command line of `lhq` in this environment."""
    return [sys.executable, "-m", "lhq_toolkit.cli", *map(str, arguments)]


def run_until_killed(arguments: Sequence[object], env: Mapping[str, str]) -> int:
    """Run with a fault point set; returns the exit code (-SIGKILL where it was reached)."""
    return subprocess.run(
        lhq_command(*arguments), env={**os.environ, **env}, check=False, capture_output=True
    ).returncode


def kill_after(arguments: Sequence[object], appears: Path, seconds: float) -> int:
    """SIGKILL the command some seconds after the path `appears`; returns its exit code."""
    process = subprocess.Popen(lhq_command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not appears.exists():
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait()
