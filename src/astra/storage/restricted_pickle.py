"""Pickles of strangers: numbers, text, builtin containers and NumPy arrays of these, and nothing else.

Python's own unpickler calls whatever a file names. Here every name but a few of NumPy's is refused, and those stand for
small records of what the file says about an array. Arrays are built from the records afterwards, with checked types and
sizes, so that no function of NumPy sees the file's own arguments. Objects of other libraries can be skipped on request:
each becomes an `Unread`, which takes what the file says about it and does nothing.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from astra.storage.json_file import check_size
from astra.storage.npy_errors import NPY_ERRORS

LARGEST = 2**28
"""Largest file with an object in bytes."""
DEEPEST = 50
"""Containers in containers that are read."""
PLAIN = re.compile(r"[?bBhHiIlLqQefd]|[biuf][1248]|[SU][0-9]{1,6}|O8?|b1")
"""Types of numbers and text, and of objects, in a description of an array."""


def load_restricted(contents: bytes, where: str, *, skip_unknown: bool = False) -> Any:
    """Return the object of a pickle.

    Args:
        contents: The pickle.
        where: Name of the file, for messages.
        skip_unknown: Whether objects of other libraries become an `Unread` each, instead of refusing the file. Their
            libraries are not imported.

    Raises:
        ValueError: if it names anything but NumPy's arrays, types and scalars, or is damaged.
    """
    try:
        _check_memo(contents)
        return _built(_Unpickler(io.BytesIO(contents), skip_unknown).load(), {}, 0)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{where} cannot be used: {error}") from error
    except Exception as error:
        raise ValueError(f"{where} is not a valid pickle (truncated?): {error!r}; copy it again") from error


def load_pickle(path: Path, *, skip_unknown: bool = False) -> Any:
    """Return the object of a file that `pickle.dump` wrote; see `load_restricted`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no file, too large, damaged, or holds what is refused.
    """
    check_size(path, "copy it again", LARGEST)
    return load_restricted(path.read_bytes(), str(path), skip_unknown=skip_unknown)


def load_npy_object(path: Path) -> Any:
    """Return the object that `np.save` wrote to a .npy file, such as a dictionary of lists and arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or holds anything but numbers, text, builtin containers and arrays of these.
    """
    check_size(path, "copy it again", LARGEST)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = header[version](file)
            pickled = file.read()
    except NPY_ERRORS as error:
        raise ValueError(f"{path} is not a valid .npy file: {error}; copy it again") from error
    if not dtype.hasobject or shape != ():
        raise ValueError(f"{path} holds {dtype} of shape {shape}, expected one object, as np.save writes a dictionary")
    array = load_restricted(pickled, str(path))
    if not isinstance(array, np.ndarray) or array.shape != () or not array.dtype.hasobject:
        raise ValueError(f"{path} holds {type(array).__name__}, expected one object, as np.save writes a dictionary")
    return array.item()


class Unread:
    """Stands for an object of another library; whatever a file does with it has no effect."""

    def __new__(cls, *arguments: Any, **named: Any) -> "Unread":
        """Ignore the arguments."""
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Ignore the arguments."""

    def __call__(self, *arguments: Any, **named: Any) -> "Unread":
        """Return another one."""
        return Unread()

    def __setstate__(self, state: Any) -> None:
        """Ignore the state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore an entry."""

    def append(self, item: Any) -> None:
        """Ignore an item."""

    extend = add = append


def _check_memo(contents: bytes) -> None:
    """Check that a pickle numbers no more objects than it can hold, as Python makes room for the largest number."""
    for code, argument, _ in pickletools.genops(contents):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(contents):
            raise pickle.UnpicklingError(f"it numbers an object {argument:,}, but has {len(contents):,} bytes")


class _Type:
    """Record of a NumPy type."""

    def __init__(self, code: Any = None, *rest: Any) -> None:
        if (
            not isinstance(code, str)
            or not PLAIN.fullmatch(code)
            or any(type(flag) not in (bool, int) for flag in rest)
        ):
            raise pickle.UnpicklingError(f"it has arrays of the type {code!r}, expected numbers, text or objects")
        self.code = code
        self.order: Literal["<", ">", "|", "="] = "="

    def __setstate__(self, state: Any) -> None:
        version, order, *rest = state
        plain = rest[:3] == [None, None, None]
        if not isinstance(version, int) or order not in ("<", ">", "|", "=") or not plain:
            raise pickle.UnpicklingError(f"it has arrays with the type {state!r}, expected numbers, text or objects")
        self.order = order

    def dtype(self) -> np.dtype[Any]:
        """Return the type."""
        found = np.dtype(object) if self.code.startswith("O") else np.dtype(self.code)
        if self.order == ">":
            return found.newbyteorder(">")
        return found.newbyteorder("<") if self.order == "<" else found


class _Array:
    """Record of an array."""

    def __init__(self) -> None:
        self.shape: Any = None
        self.type: Any = None
        self.fortran, self.data = False, b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.type, self.fortran, self.data = state

    def built(self, built: Callable[[Any], Any]) -> np.ndarray:
        """Return the array; its data must have exactly the size that the record says."""
        shape = self.shape
        if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape) or len(shape) > 16:
            raise pickle.UnpicklingError(f"it has an array of the shape {shape!r}")
        if not isinstance(self.type, _Type):
            raise pickle.UnpicklingError("it has an array without a type")
        dtype, size, order = self.type.dtype(), math.prod(shape), "F" if self.fortran else "C"
        if dtype.hasobject:
            if not isinstance(self.data, list) or len(self.data) != size:
                raise pickle.UnpicklingError(f"an array of {size} objects does not have as many")
            objects = np.empty(size, object)
            for index, item in enumerate(self.data):
                objects[index] = built(item)
            return objects.reshape(shape, order=order)
        if not isinstance(self.data, bytes) or len(self.data) != size * dtype.itemsize:
            raise pickle.UnpicklingError(f"an array of the shape {shape} and the type {dtype} has data of another size")
        return np.frombuffer(self.data, dtype).reshape(shape, order=order).copy(order="C")


class _Scalar:
    """Record of a number of NumPy's."""

    def __init__(self, kind: Any, data: Any) -> None:
        self.array = _Array()
        self.array.shape, self.array.type, self.array.data = (), kind, data

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a number of NumPy's")


class _Name:
    """Stands for the class of arrays, which is named but never called."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it makes an array without a record")


def _reconstruct(*arguments: Any) -> _Array:
    del arguments  # an empty array of no interest: the record follows
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.shape, array.type, array.fortran = shape, kind, order == "F"
    array.data = bytes(data) if isinstance(data, bytearray) else data
    return array


_KNOWN: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _Name, ("numpy", "dtype"): _Type}
for _core in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _KNOWN[f"{_core}.multiarray", "scalar"] = _Scalar
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, skip_unknown: bool) -> None:
        super().__init__(file)
        self._skip_unknown = skip_unknown

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the record that a name stands for.

        Raises:
            UnpicklingError: for every other name, unless these are skipped.
        """
        if (module_name, global_name) not in _KNOWN:
            if self._skip_unknown:
                return Unread
            raise pickle.UnpicklingError(
                f"it names {module_name}.{global_name}, which could run code of whoever wrote it; expected numbers, "
                "text, lists, dictionaries and arrays"
            )
        return _KNOWN[module_name, global_name]

    def persistent_load(self, pid: Any, /) -> Any:
        """Refuse references to something outside the file."""
        raise pickle.UnpicklingError(f"it refers to something outside the file, {pid!r}")


def _built(item: Any, known: dict[int, Any], depth: int) -> Any:
    """Return an object with arrays instead of records; each is built once, however often it occurs."""
    if depth > DEEPEST:
        raise pickle.UnpicklingError(f"it has more than {DEEPEST} containers in containers, or one that holds itself")
    if item is None or isinstance(item, (bool, int, float, str, bytes)):
        return item
    if item is Unread or isinstance(item, Unread):
        return Unread()
    if id(item) in known:
        return known[id(item)][1]

    def inner(value: Any) -> Any:
        return _built(value, known, depth + 1)

    kind = type(item)
    if isinstance(item, _Array):
        found: Any = item.built(inner)
    elif isinstance(item, _Scalar):
        found = item.array.built(inner)[()]
    elif isinstance(item, _Type):
        found = item.dtype()
    elif kind is dict:
        found = {inner(key): inner(value) for key, value in item.items()}
    elif kind in (list, tuple, set, frozenset):
        found = kind(inner(value) for value in item)
    else:
        raise pickle.UnpicklingError(f"it holds {kind.__name__}, expected numbers, text, containers and arrays")
    known[id(item)] = (item, found)
    return found
