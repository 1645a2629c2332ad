"""Settings of glibc's allocator under which convolutions on CPU do not ask the kernel for their memory each time.

By default every large tensor is mapped and unmapped, and each of its pages is zeroed by the kernel at first touch;
that can take longer than the arithmetic. The price of keeping memory is that the process stays as large as its
largest moment.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # names in <malloc.h>, mallopt(3)
_TOP_PAD = 256 * 2**20  # bytes asked for at a time


def keep_memory() -> bool:
    """Let the process keep memory that it frees; to be called once, before the first large tensor.

    True when the settings took; False, and nothing changed, where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD))
    taken = [library.mallopt(name, value) for name, value in settings]  # 1 for each that took
    return all(taken)
