"""Bytes as a broken disk, a broken download or someone unkind leaves them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

INSERTED = [b"", b"\0", b"\xff\xfe", b"\n", b'"', b",", b"{", b"[", b"NaN", b"-1", b"1e999", b"9" * 400, b"../../x"]
OTHERS = ["null", "true", "-1", "0", "1.5", "1e308", str(2**63), "9" * 40, "NaN", "[]", "[[]]", "{}", '{"a": 1}']
OTHERS += ['""', '"x"', r'"\ud800"', '"../../x"', r'"a\u0000b"']
"""JSON that stands where something else is expected."""


@st.composite
def mangled(draw: st.DrawFn, sound: bytes) -> bytes:
    """`sound` with some bytes overwritten, cut out, doubled or put in."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = int(draw(st.floats(0, 1)) * len(data))
        end = min(len(data), at + draw(st.sampled_from([1, 2, 8, 64, len(sound)])))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if kind == "change" and at < end:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:end]
        elif kind == "double":
            data[at:at] = data[at:end]
        else:
            data[at:at] = draw(st.sampled_from(INSERTED))
    return bytes(data)


@st.composite
def mangled_json(draw: st.DrawFn, sound: bytes) -> bytes:
    """As `mangled`, or JSON that is well-formed, with a value of another kind somewhere, or a name gone or new."""
    if draw(st.booleans()):
        return draw(mangled(sound))
    facts = json.loads(sound)
    for _ in range(draw(st.integers(1, 3))):
        facts = _changed(draw, facts)
    return json.dumps(facts).encode()


def _other(draw: st.DrawFn) -> Any:
    return json.loads(draw(st.sampled_from(OTHERS)))


def _changed(draw: st.DrawFn, value: Any) -> Any:
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not places or draw(st.integers(0, 4)) == 0:
        return _other(draw)
    at = draw(st.sampled_from(list(places)))
    kind = draw(st.sampled_from(["change", "change", "deeper", "drop", "new"]))
    if kind == "drop":
        del value[at]
    elif kind == "new" and isinstance(value, dict):
        value["unknown"] = _other(draw)
    else:
        value[at] = _changed(draw, value[at]) if kind == "deeper" else _other(draw)
    return value
