"""Memory allocation of the C library, tuned for large arrays that come and go, as in training on CPUs."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of the settings in glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Keep freed memory in this process for its next allocations; without glibc, do nothing.

    By default, glibc returns large tensors to the system when they are freed, so that every update allocates its
    activations again: thousands of page faults, each of which clears a page. The peak of memory does not change. For
    other programs, set the environment instead:
    `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_TOP_PAD_=67108864`.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 2**26)
