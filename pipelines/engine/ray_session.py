"""A Ray of one command, on this machine or a cluster: without a dashboard, with quiet logs and no telemetry."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from manifests.errors import SetupError
from pipelines.engine import threads
from pipelines.web import keys

PLACE, SESSION = "/tmp", "lhq-ray-"  # noqa: S108 (where Ray's own folder of a command lies: sockets need a short path)
ABANDONED_SECONDS = 86_400.0
ATTEMPTS = 3  # to start it on this machine
_OBJECT_STORE_BYTES = 256 * 1024**2  # only paths, rows and small artefacts travel


class RaySession:
    """Started when first asked for, ended with its context."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._started = False
        self._folder: str | None = None  # of a Ray of our own

    def __enter__(self) -> RaySession:
        if self._address is not None:
            _refuse_silence(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False
        if self._folder is not None:
            _remove(self._folder)
            self._folder = None

    def start(self) -> None:
        """Start Ray, or join it, unless that is done. Raises SetupError where it does not work."""
        if self._started:
            return
        keys.withhold()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Ray tells of workers that died on standard output, where our summary goes; we tell of them ourselves.
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
        import ray

        on_terminate = signal.getsignal(signal.SIGTERM)
        try:
            if self._address is not None:
                ray.init(address=self._address, logging_level=logging.ERROR, log_to_driver=False)
            else:
                _remove_abandoned()
                print("starting Ray on this machine (--workers 0 goes without)", file=sys.stderr, flush=True)
                self._start_here()
        except Exception as error:  # Ray raises that very class where a busy machine does not start it within 30 s
            where = self._address or "this machine"
            raise SetupError(f"Ray did not start on {where}: {error}; use --workers 0 to go without it") from error
        signal.signal(signal.SIGTERM, on_terminate)  # Ray puts in its own, which would end us without a word
        self._started = True

    def _start_here(self) -> None:
        """A Ray of our own; on a busy machine it may take more than one attempt, each in a folder of its own."""
        import ray

        for attempt in range(1, ATTEMPTS + 1):
            self._folder = tempfile.mkdtemp(prefix=SESSION, dir=PLACE)
            try:
                ray.init(
                    address="local",
                    _temp_dir=self._folder,
                    num_cpus=threads.cores(),
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                )
                return
            except Exception:
                ray.shutdown()
                _remove(self._folder)
                self._folder = None
                if attempt == ATTEMPTS:
                    raise

    def cores(self) -> int:
        """Processors of all its machines."""
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]

    def gpus(self) -> float:
        """Graphics cards of all its machines."""
        import ray

        return float(ray.cluster_resources().get("GPU", 0.0))  # type: ignore[no-untyped-call]


def _refuse_silence(address: str) -> None:
    """SetupError where nothing listens at host:port; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return  # a name that Ray resolves, such as `auto`
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise SetupError(
            f"no Ray answers at --ray-address {address} ({error}); start one there with: ray start"
        ) from error


def _remove(folder: str) -> None:
    """Remove Ray's folder; its processes may write for a moment longer."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            return
        time.sleep(0.2)


def _remove_abandoned() -> None:
    """Remove the folders of our commands that were killed, a day after."""
    for folder in Path(PLACE).glob(f"{SESSION}*"):
        with contextlib.suppress(FileNotFoundError):  # of a command that ends now
            facts = folder.stat()
            if facts.st_uid == os.getuid() and time.time() - facts.st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
