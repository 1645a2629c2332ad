"""Chance that repeats: numbers that follow from names alone, so that nothing depends on the order of requests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number(*parts: object) -> int:
    """A 64-bit number that follows from the parts."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def unit(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts."""
    return number(*parts) / 2**64


def pick(choices: Sequence[T], *parts: object) -> T:
    """One of the choices."""
    return choices[number(*parts) % len(choices)]


def token(length: int, *parts: object) -> str:
    """Lower-case hexadecimal digits, at most 32."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).hexdigest()[:length]
