"""TensorBoard's files read back by their format: records of length, checksum, event, checksum."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog


def events(folder: Path) -> list[Event]:
    """Every event of every file, in the order of their names, as TensorBoard reads them."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        at = 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            found.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += 12 + length + 4
    return found


def shown(folder: Path) -> dict[str, dict[int, float | tuple[int, int]]]:
    """What TensorBoard shows: a value, or a picture's size, by tag and step. A session that begins at a step makes it
    forget what it had read of that step and later ones."""
    series: dict[str, dict[int, float | tuple[int, int]]] = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            series = {tag: {at: one for at, one in points.items() if at < event.step} for tag, points in series.items()}
        for value in event.summary.value:
            told: float | tuple[int, int] = value.simple_value
            if value.HasField("image"):
                with Image.open(io.BytesIO(value.image.encoded_image_string)) as image:
                    told = image.size
                assert told == (value.image.width, value.image.height)
            series.setdefault(value.tag, {})[event.step] = told
    return series
