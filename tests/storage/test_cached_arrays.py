"""The cache of arrays: complete or absent, filled once, never removed while open, within its limit."""

import errno
import multiprocessing
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from astra.storage import cached_arrays as module
from astra.storage.cache_folder import entries, is_in_use, remove_entry
from astra.storage.cached_arrays import ArrayForm, cached_arrays, damaged_arrays, open_array

FORM = ArrayForm((1000, 25), np.float32)
SIZE = 100_000


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASTRA_CACHE_GB", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "data"


def ones(arrays: Mapping[str, np.ndarray]) -> None:
    for array in arrays.values():
        array[...] = 1


def never(arrays: Mapping[str, np.ndarray]) -> None:
    raise AssertionError(f"{list(arrays)} were filled again")


def make(key: str, source: Path, fill: Callable[[Mapping[str, np.ndarray]], None] = ones) -> np.ndarray:
    return cached_arrays(key, source, {"a": FORM}, fill)["a"]


def test_arrays_are_filled_once_and_cannot_be_written(source: Path, root: Path) -> None:
    array = make("key", source)
    assert (array == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2
    assert (make("key", source, never) == 1).all()
    assert sorted(path.name for path in (root / "key").iterdir()) == ["a.npy", "a.sha256", "entry.json", "lock"]


def test_files_have_the_permissions_of_any_other_file(source: Path, root: Path, tmp_path: Path) -> None:
    make("key", source)
    (tmp_path / "other").touch()
    expected = stat.S_IMODE((tmp_path / "other").stat().st_mode)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root / "key").iterdir()} == {expected}


@pytest.mark.parametrize("size", [0, 5, 64, 128, SIZE])
def test_a_short_or_empty_file_is_written_again(source: Path, root: Path, size: int) -> None:
    make("key", source)
    os.truncate(root / "key/a.npy", size)
    assert (make("key", source) == 1).all()


def test_a_file_of_another_form_is_written_again(source: Path) -> None:
    make("key", source)
    array = cached_arrays("key", source, {"a": ArrayForm((7,), np.uint8)}, ones)["a"]
    assert array.shape == (7,)


def test_a_file_of_pickled_objects_is_not_believed(source: Path, root: Path) -> None:
    make("key", source)
    np.save(root / "key/a.npy", np.array([{}]), allow_pickle=True)
    assert open_array(root / "key/a.npy") is None


@pytest.mark.parametrize("name", ["a.npy", "entry.json"])
def test_a_link_is_not_believed(source: Path, root: Path, tmp_path: Path, name: str) -> None:
    make("key", source)
    (root / "key" / name).rename(tmp_path / "elsewhere")
    (root / "key" / name).symlink_to(tmp_path / "elsewhere")
    if name == "a.npy":
        assert open_array(root / "key/a.npy") is None
    assert (make("key", source) == 1).all()
    assert not (root / "key" / name).is_symlink()


def test_what_another_account_owns_is_not_believed(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("key", source)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert open_array(root / "key/a.npy") is None
    assert entries() == []
    assert not remove_entry(root / "key")
    with pytest.raises(OSError, match=r"belongs to another account.*ASTRA_CACHE"):
        make("key", source)


def test_a_link_in_the_place_of_an_entry_is_refused_and_nothing_behind_it_removed(
    source: Path, root: Path, tmp_path: Path
) -> None:
    make("key", source)
    (root / "key").rename(tmp_path / "mine")
    (root / "key").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="link"):
        make("key", source)
    assert not remove_entry(root / "key")
    assert (tmp_path / "mine/a.npy").exists()


def test_a_folder_without_the_marker_is_never_removed(root: Path) -> None:
    (root / "notes").mkdir(parents=True)
    (root / "notes/mine.npy").touch()
    assert entries() == []
    assert not remove_entry(root / "notes")
    assert (root / "notes/mine.npy").exists()


@pytest.mark.parametrize("name", ["../../outside", "observation./../../../outside", "/outside", "a" * 300])
def test_no_name_of_an_array_leads_outside_or_is_too_long(source: Path, root: Path, name: str) -> None:
    array = cached_arrays("key", source, {name: FORM}, ones)[name]
    assert (array == 1).all()
    assert len(list((root / "key").glob("*.npy"))) == 1
    assert not list(root.parent.rglob("outside*"))


def test_a_failure_leaves_no_array(source: Path, root: Path) -> None:
    def fail(arrays: Mapping[str, np.ndarray]) -> None:
        arrays["a"][0] = 1
        raise ValueError("a value is wrong")

    with pytest.raises(ValueError, match="wrong"):
        make("key", source, fail)
    assert not list(root.rglob("*.npy"))


def test_a_full_disk_is_an_error_before_anything_is_written_to_the_map(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"cache of a takes 1 MB.*No space left.*ASTRA_CACHE"):
        make("key", source, never)
    assert not list(root.rglob("*.npy"))


def test_an_entry_in_use_is_not_removed(source: Path, root: Path) -> None:
    array = make("key", source)
    view = array[3:5]
    del array
    assert is_in_use(root / "key")
    assert not remove_entry(root / "key")
    del view
    assert not is_in_use(root / "key")
    assert remove_entry(root / "key")
    assert not (root / "key").exists()


def test_beyond_the_limit_the_least_recently_used_entry_goes(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRA_CACHE_GB", "0.00025")
    for number, key in enumerate(("first", "second")):
        make(key, source / key)
        os.utime(root / key / "entry.json", (number, number))
    make("first", source / "first", never)  # used again
    make("third", source / "third")
    assert {entry.folder.name for entry in entries()} == {"first", "third"}


def test_what_does_not_fit_is_refused_and_what_is_open_stays(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRA_CACHE_GB", "0.00025")
    held = [make(key, source / key) for key in ("first", "second")]
    with pytest.raises(OSError, match=r"cache of a takes 1 MB.*ASTRA_CACHE_GB"):
        make("third", source / "third")
    assert all((array == 1).all() for array in held)


def test_a_new_state_of_a_source_replaces_the_earlier_one(source: Path) -> None:
    make("before", source)
    make("other", source / "other")
    make("after", source)
    assert {entry.folder.name for entry in entries()} == {"other", "after"}


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many"])
def test_a_limit_that_cannot_work_is_refused(source: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make("key", source)
    monkeypatch.setenv("ASTRA_CACHE_GB", text)
    with pytest.raises(ValueError, match="ASTRA_CACHE_GB"):
        make("key", source)


def test_a_cache_inside_the_source_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRA_CACHE", str(source / "meta"))
    with pytest.raises(ValueError, match="inside"):
        make("key", source)


def test_a_changed_byte_is_found_by_the_checksum(source: Path, root: Path) -> None:
    make("key", source)
    assert damaged_arrays(root / "key") == []
    with (root / "key/a.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    assert damaged_arrays(root / "key") == ["a"]


def count_and_fill(source: Path, log: Path) -> None:
    def fill(arrays: Mapping[str, np.ndarray]) -> None:
        with log.open("a") as file:
            file.write("filled\n")
        time.sleep(0.2)
        ones(arrays)

    assert (make("key", source, fill) == 1).all()


def test_two_processes_fill_the_same_entry_once(source: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=count_and_fill, args=(source, tmp_path / "log")) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "filled\n"


def kill_while_filling(source: Path) -> None:
    def fill(arrays: Mapping[str, np.ndarray]) -> None:
        os.kill(os.getpid(), 9)

    make("key", source, fill)


def test_a_process_killed_while_filling_leaves_nothing_in_the_way(source: Path, root: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=kill_while_filling, args=(source,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -9
    assert not list((root / "key").glob("*.npy"))
    assert (make("key", source) == 1).all()
    assert not (root / "key/unfinished").exists()


def test_elsewhere_than_on_linux_zeros_reserve_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    array = module.create_array(tmp_path / "a.npy", FORM)
    array[...] = 2
    assert (np.load(tmp_path / "a.npy") == 2).all()


@pytest.mark.parametrize("text", [b"{" * 118, b"(" * 118, b"\0" * 118, b"1" * 118])
def test_a_header_that_is_no_python_is_no_array(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "array.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + text)
    assert open_array(tmp_path / "array.npy") is None
