"""Pickles of strangers: what NumPy wrote is read, and everything else is refused before it runs."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from astra.storage.restricted_pickle import Unread, load_npy_object, load_restricted

CONTENTS = {
    "language": {"ann": ["push the block", "öffne"], "task": ["push", "open"], "emb": np.ones((2, 1, 3), np.float32)},
    "info": {"episodes": [], "indx": [(0, 5), (np.int64(7), 9)]},
}


def load(contents: bytes) -> Any:
    return load_restricted(contents, "a.pkl")


def test_what_numpy_saves_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(CONTENTS, object), allow_pickle=True)
    found = load_npy_object(tmp_path / "a.npy")
    assert found["language"]["ann"] == CONTENTS["language"]["ann"]
    np.testing.assert_array_equal(found["language"]["emb"], CONTENTS["language"]["emb"])
    found["language"]["emb"][0] = 2.0  # it is an array of its own
    assert found["info"] == {"episodes": [], "indx": [(0, 5), (7, 9)]}


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">i2"),
    np.array(["a", "bcd"]),
    np.array([b"a", b"bcd"]),
    np.array([True, False]),
    np.zeros((0, 3), np.float32),
    np.array([{"a": 1}, [1, 2], None], object),
    np.array(5.5),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str}-{array.shape}")
def test_arrays_come_back_as_they_were(array: np.ndarray, protocol: int) -> None:
    found = load(pickle.dumps(array, protocol))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize("item", [1, 2.5, "a", b"a", None, True, [1, (2, {3}), {"a": frozenset({4})}], np.float32(2)])
def test_builtin_values_and_containers_come_back(item: Any) -> None:
    assert load(pickle.dumps(item, 4)) == item


class Command:
    """Runs a command when it is unpickled by Python's own unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_code_is_refused_and_never_runs(tmp_path: Path) -> None:
    for name, holder in {"alone": Command, "in": lambda path: {"a": [Command(path)]}}.items():
        path = tmp_path / name
        with pytest.raises(ValueError, match=r"names posix.system, which could run code of whoever wrote it"):
            load(pickle.dumps(holder(path), 4))
        assert not path.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy", "ndarray.__reduce__"),
        ("numpy._core.multiarray", "fromfile"),
        ("numpy.core.multiarray", "array"),
        ("astra.storage.restricted_pickle", "load_restricted"),
        ("collections", "OrderedDict"),
    ],
)
def test_every_other_name_is_refused(module: str, name: str) -> None:
    call = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)]) + name.encode()
    with pytest.raises(ValueError, match=rf"names {module}.{name}"):
        load(call + b"\x93)R.")


def test_objects_of_other_libraries_are_skipped_on_request_and_do_nothing(tmp_path: Path) -> None:
    contents = {
        "text": "push",
        "command": Command(tmp_path / "made"),
        "ordered": OrderedDict({"a": np.zeros(2)}),
        "path": [tmp_path, PurePosixPath],
        "list": type("List", (list,), {"__reduce__": lambda self: (OrderedDict, (), {"x": 1}, iter([1, 2]))})(),
    }
    for protocol in (2, 4):
        found = load_restricted(pickle.dumps(contents, protocol), "a.pkl", skip_unknown=True)
        assert found.pop("text") == "push"
        inner = [*found.pop("path"), *found.values()]
        assert [type(item) for item in inner] == [Unread] * 5
        assert not (tmp_path / "made").exists()


def test_numbers_of_objects_that_would_take_memory_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers an object 268,435,455, but has 9 bytes"):
        load(b"\x80\x04Nr\xff\xff\xff\x0f.")


def test_subclasses_of_containers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names collections.OrderedDict"):
        load(pickle.dumps(OrderedDict(a=1), 4))


def record(shape: Any, kind: Any, data: Any) -> bytes:
    """Return a pickle whose array has the given record, as a stranger might write it."""

    class Forged:
        def __reduce__(self) -> Any:
            from numpy._core.multiarray import _reconstruct

            return _reconstruct, (np.ndarray, (0,), b"b"), (1, shape, kind, False, data)

    return pickle.dumps(Forged(), 4)


@pytest.mark.parametrize(
    ("shape", "kind", "data", "message"),
    [
        ((10**12,), np.dtype("f8"), b"", "data of another size"),
        ((2,), np.dtype("f8"), b"\0" * 8, "data of another size"),
        ((1,), np.dtype(object), b"\x41" * 8, "does not have as many"),
        ((2**70,), np.dtype(object), [], "does not have as many"),
        ((-1,), np.dtype("f8"), b"\0" * 8, "of the shape"),
        ((1.0,), np.dtype("f8"), b"\0" * 8, "of the shape"),
        ("a", np.dtype("f8"), b"", "of the shape"),
        ((1,), "f8", b"\0" * 8, "without a type"),
        ((1,), np.dtype([("a", "f8")]), b"\0" * 8, "expected numbers, text or objects"),
        ((1,), np.dtype(("f8", (2,))), b"\0" * 16, "expected numbers, text or objects"),
        ((1,), np.dtype("M8[s]"), b"\0" * 8, "expected numbers, text or objects"),
    ],
)
def test_forged_arrays_are_refused(shape: Any, kind: Any, data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(record(shape, kind, data))


def test_a_container_that_holds_itself_or_too_many_others_is_refused() -> None:
    itself: list[Any] = []
    itself.append(itself)
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    for item in (itself, deep):
        with pytest.raises(ValueError, match="more than 50 containers in containers"):
            load(pickle.dumps(item, 4))


def test_repeated_containers_are_built_once() -> None:
    lists: list[Any] = ["a"]
    for _ in range(45):
        lists = [lists, lists]  # written out, these would be more than 10^13 strings
    assert len(load(pickle.dumps(lists, 4))) == 2


@pytest.mark.parametrize("keep", [0, 1, 10, 60, -1])
def test_a_truncated_pickle_is_an_error(keep: int) -> None:
    with pytest.raises(ValueError, match=r"a.pkl (is not a valid pickle|cannot be used)"):
        load(pickle.dumps(CONTENTS, 4)[:keep])


@pytest.mark.parametrize("contents", [b"", b"\x93NUMPY\x01\x00", b"hello", b"\x93NUMPY\x07\x00\x10\x00" + b" " * 16])
def test_a_damaged_npy_file_is_an_error(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(contents)
    with pytest.raises(ValueError, match=r"a.npy is not a valid .npy file"):
        load_npy_object(tmp_path / "a.npy")


def test_an_npy_file_of_numbers_is_no_object(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"expected one object, as np\.save writes a dictionary"):
        load_npy_object(tmp_path / "a.npy")
    with pytest.raises(FileNotFoundError):
        load_npy_object(tmp_path / "none.npy")
