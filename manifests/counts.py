"""How many of what, in words."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """`1 photo`, `2 photos`, `1,234 photos`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
