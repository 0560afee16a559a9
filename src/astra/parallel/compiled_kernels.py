"""The kernels that oneDNN, PyTorch's library for products on CPUs, compiles while a program runs."""

import os

KEPT = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
"""Variable of the environment with the number of kernels that are kept."""


def keep_compiled_kernels() -> None:
    """Keep the kernels of 16,384 shapes instead of 1,024, if this process has computed no product in bfloat16 yet.

    In bfloat16 every new shape needs a kernel of its own. Updates of prompts and objects of different numbers soon have
    more shapes than are kept, and compile most of them again. The kernels take up to about 2 GB. What the environment
    says already, stays.
    """
    os.environ.setdefault(KEPT, "16384")
