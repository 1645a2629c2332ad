"""Wilson's interval of a share (1927), without continuity correction: where the true one lies with 95 % confidence."""

from __future__ import annotations

import math

Z = 1.959963984540054  # of the standard normal, 97.5 %


def interval(share: float, of: int) -> tuple[float, float]:
    """Both ends for a share of so many trials; of none, 0 to 1."""
    if not of:
        return 0.0, 1.0
    z2 = Z * Z / of
    middle = share + z2 / 2
    half = Z * math.sqrt((share * (1 - share) + z2 / 4) / of)
    low, high = (middle - half) / (1 + z2), (middle + half) / (1 + z2)
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)
