"""Exceptions that NumPy raises for damaged .npy and .npz files."""

import tokenize
import zipfile
import zlib

NPY_ERRORS = (
    *(EOFError, LookupError, MemoryError, NotImplementedError, OSError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Exceptions of `numpy.load` and of the functions that read headers, which parse text of the file as Python."""
