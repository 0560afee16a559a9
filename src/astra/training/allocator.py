"""The C library's allocator, set to keep what a training update frees."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of the settings in glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Let this process keep freed memory for its next allocations; where the C library is not glibc, do nothing.

    By default large tensors are mapped from the system and given back when they are freed, so that every update takes
    its activations anew: thousands of page faults, each clearing a page. The peak of memory stays what it is; what is
    freed at the end of an update stays with the process. Set in the environment instead, for other programs:
    `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864`.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)
