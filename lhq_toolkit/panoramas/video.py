"""Videos of a camera's views: MP4 by the ffmpeg that is installed, animated WebP without anything else.

Both take one view at a time. What ffmpeg keeps in memory does not depend on the length; of a WebP, which is written
here chunk by chunk, only the view that is being compressed is held.

WebP Container Specification (developers.google.com/speed/webp/docs/riff_container): VP8X, ANIM and ANMF chunks.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image

from lhq_toolkit.panoramas.camera import RATE
from lhq_toolkit.panoramas.stream import Pixels, new_file
from manifests.errors import MisuseError, SetupError

QUALITY = "18"  # x264's constant rate factor: losses that are hardly seen
LARGEST_WEBP = 2**32 - 2**20  # bytes: RIFF counts them in 32 bits
_MIXED = 0b10  # of an ANMF chunk: the view replaces what was shown, it is not blended with it


def find_encoder() -> str:
    """The path of ffmpeg. SetupError where it is not installed."""
    if (found := shutil.which("ffmpeg")) is None:
        raise SetupError("no ffmpeg on PATH, which makes MP4 files: install it, or write FILE.webp")
    return found


def write_mp4(path: Path, views: Iterator[Pixels], width: int, height: int) -> None:
    """H.264 in MP4, which begins to play before all is loaded. On any error nothing remains."""
    with new_file(path) as temporary, tempfile.TemporaryFile() as said:
        command = [find_encoder(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "pipe:0"]
        command += ["-c:v", "libx264", "-crf", QUALITY, "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        command += ["-f", "mp4", f"file:{temporary}"]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
        assert encoder.stdin is not None
        try:
            try:
                for view in views:
                    encoder.stdin.write(view.tobytes())
                encoder.stdin.close()
            except BrokenPipeError:
                pass  # it ended early and says why
            if encoder.wait() != 0:
                raise _failure(said)
        finally:
            encoder.kill()
            encoder.wait()


def _failure(said: IO[bytes]) -> Exception:
    """What ffmpeg said, as an error of ours."""
    said.seek(0)
    text = said.read().decode(errors="replace").strip()
    if os.strerror(errno.ENOSPC) in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    last = text.splitlines()[-1][:200] if text else "it said nothing"
    return SetupError(f"ffmpeg could not make the video ({last}): it needs libx264; or write FILE.webp")


def write_webp(path: Path, views: Iterator[Pixels], width: int, height: int) -> None:
    """An animation without loss, over and over. On any error nothing remains. SetupError from 4 GB on."""
    with new_file(path) as temporary, temporary.open("xb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        animated = bytes([0b10, 0, 0, 0])
        _chunk(file, b"VP8X", animated + _three(width - 1) + _three(height - 1))
        _chunk(file, b"ANIM", bytes(6))  # a background that is never seen, no end
        for number, view in enumerate(views):
            shown = (number + 1) * 1000 // RATE - number * 1000 // RATE  # milliseconds
            place = bytes(6) + _three(width - 1) + _three(height - 1) + _three(shown) + bytes([_MIXED])
            _chunk(file, b"ANMF", place + _compressed(view))
            if file.tell() > LARGEST_WEBP:
                raise MisuseError(f"{path} would be larger than 4 GB, which WebP cannot be: write FILE.mp4")
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _compressed(view: Pixels) -> bytes:
    """The VP8L chunk of a WebP file of its own."""
    whole = io.BytesIO()
    Image.fromarray(view).save(whole, "WEBP", lossless=True)
    data, at = whole.getvalue(), 12  # after RIFF, size, WEBP
    while data[at : at + 4] != b"VP8L":
        (size,) = struct.unpack_from("<I", data, at + 4)
        at += 8 + size + size % 2
    (size,) = struct.unpack_from("<I", data, at + 4)
    return data[at : at + 8 + size + size % 2]


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _chunk(file: IO[bytes], kind: bytes, data: bytes) -> None:
    file.write(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2))
