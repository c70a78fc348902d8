"""Memory that a micro-batch frees stays with the process, for the next one.

Per-patient gradients are some hundred megabytes that come and go with every micro-batch. The C
library gives what is freed back to the system, and the system hands it out again page by page, each
zeroed: on a CPU up to a sixth of a private step's time, and no number depends on it.
"""

import ctypes
import functools
import sys

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 2**30  # bytes: what is free beyond this goes back, and so do single blocks of this size


@functools.cache
def keep_freed_memory() -> bool:
    """Keep up to 1 GiB of free memory in this process from now on; whether the C library can.

    glibc's can. Elsewhere nothing is changed.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Both: by itself the first would send each larger block to the system and back.
    return all([mallopt(_MMAP_THRESHOLD, _KEPT), mallopt(_TRIM_THRESHOLD, _KEPT)])
