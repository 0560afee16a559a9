import os
import subprocess
import sys
from pathlib import Path

import pytest

from astra.storage.atomic import Unfinished, atomic_folder


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from astra.storage.atomic import atomic_folder
with atomic_folder(Path({str(tmp_path / "data")!r})) as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        other = Path(writer.stdout.readline().strip())
        unfinished = Unfinished(tmp_path / "data")
        unfinished.create()
        assert (other / "half").exists()
        unfinished.remove()
        assert list(tmp_path.iterdir()) == [other]
        writer.kill()
    with atomic_folder(tmp_path / "data"):
        assert not other.exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


def test_only_leftovers_of_the_same_name_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    names = [".data.unfinished-12", ".data2.unfinished-12", ".d[a]ta.unfinished-12", "data.unfinished-12"]
    for name in names:
        (tmp_path / name).mkdir()
    outside.mkdir()
    (tmp_path / ".data.unfinished-link").symlink_to(outside)
    (tmp_path / ".data.unfinished-file").write_text("mine")
    with atomic_folder(tmp_path / "data"):
        pass
    kept = {"data", *names[1:], "outside", ".data.unfinished-link", ".data.unfinished-file"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_folder_that_appears_meanwhile_is_not_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    unfinished = Unfinished(tmp_path / "data")
    unfinished.create()
    (unfinished.path / "file").write_text("complete")
    (tmp_path / "data").mkdir()
    with pytest.raises(FileExistsError, match="rename that folder"):
        unfinished.finish()
    assert (unfinished.path / "file").read_text() == "complete"
    assert list((tmp_path / "data").iterdir()) == []


def test_files_have_the_permissions_that_the_account_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "data") as folder:
            (folder / "private").write_text("")
            (folder / "private").chmod(0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "data" / "private").stat().st_mode & 0o777 == 0o640
