"""Colour profiles made by hand, and their mathematics in float (ICC.1:2022; IEC 61966-2-1)."""

from __future__ import annotations

import struct

import numpy as np
from encoding import Array

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = np.array([0.95047, 1.0, 1.08883])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADOBE = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
P3 = [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)]
SRGB = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]


def to_d50(primaries: list[tuple[float, float]]) -> Array:
    """Matrix [3, 3] from linear RGB with a D65 white to XYZ at D50."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    xyz = xyz * np.linalg.solve(xyz, D65)
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ D65)) @ BRADFORD
    return np.asarray(adapt @ xyz)


def srgb_decode(v: Array) -> Array:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb_encode(v: Array) -> Array:
    v = np.clip(v, 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


def in_srgb(levels: Array, primaries: list[tuple[float, float]], gamma: float | None) -> Array:
    """sRGB levels (float) of levels [..., 3] in an RGB space with this gamma (None: sRGB's own curve)."""
    v = levels / 255.0
    linear = srgb_decode(v) if gamma is None else v**gamma
    return 255 * srgb_encode(linear @ (np.linalg.inv(to_d50(SRGB)) @ to_d50(primaries)).T)


def fixed(values: Array | list[float]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))


def profile(space: bytes, pcs: bytes, kind: bytes, version: int, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile: 128 bytes of header, the tag table, the tags, each padded to 4 bytes."""
    about = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": about, b"wtpt": b"XYZ " + bytes(4) + fixed(D50), **tags}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", version << 24, kind, space, pcs)
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + table + body


def matrix_profile(primaries: list[tuple[float, float]], gamma: float | None) -> bytes:
    columns = to_d50(primaries).T
    if gamma is None:
        curve = b"para" + bytes(4) + b"\0\3\0\0" + fixed([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {name: b"XYZ " + bytes(4) + fixed(c) for name, c in zip([b"rXYZ", b"gXYZ", b"bXYZ"], columns, strict=True)}
    tags |= dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"], curve)
    return profile(b"RGB ", b"XYZ ", b"mntr", 2 if gamma else 4, tags)


def grey_profile(gamma: float) -> bytes:
    return profile(
        b"GRAY", b"XYZ ", b"mntr", 2, {b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))}
    )


def ink_lab(c: int, m: int, y: int, k: int) -> tuple[int, int, int]:
    """An invented press: the Lab colour of full (1) or no (0) ink of each kind."""
    if k:
        return 0, 0, 0
    return 100 - 25 * c - 25 * m - 10 * y, 24 * m - 20 * c, 40 * y - 20 * c


def ink_profile() -> bytes:
    """A CMYK profile of one table (lut8, 2 points a side) that holds ink_lab."""
    nodes = [ink_lab(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    clut = b"".join(bytes([round(L * 2.55), a + 128, b + 128]) for L, a, b in nodes)
    identity = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel()) + identity * 4 + clut + identity * 3
    return profile(b"CMYK", b"Lab ", b"prtr", 2, {b"A2B0": lut, b"A2B1": lut})


def lab_to_srgb(lab: Array) -> Array:
    """sRGB levels (float) of CIELAB colours [..., 3] relative to D50."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return 255 * srgb_encode(xyz @ np.linalg.inv(to_d50(SRGB)).T)
