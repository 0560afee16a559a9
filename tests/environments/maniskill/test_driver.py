"""The search for a Vulkan driver, the check of versions, and the script that unpacks a driver."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astra.environments.maniskill.driver import NAMES, WORKS, ensure_vulkan
from astra.environments.maniskill.package import check_version

SCRIPT = Path(__file__).parents[3] / "scripts" / "software_vulkan.sh"


def test_a_driver_that_is_not_there_is_one_message_that_names_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, WORKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(NAMES[0], "nowhere/lvp_icd.json")
    ensure_vulkan.cache_clear()
    with pytest.raises(ValueError, match=r"nowhere/lvp_icd.json: there is no such file.*software_vulkan.sh"):
        ensure_vulkan()
    assert WORKS not in os.environ


def test_a_driver_that_cannot_be_loaded_is_tried_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("sapien", reason="needs ManiSkill: pip install '.[maniskill]'")
    broken = tmp_path / "broken.json"
    broken.write_text('{"file_format_version": "1.0.0", "ICD": {"library_path": "none.so", "api_version": "1.3.0"}}')
    for name in (*NAMES, WORKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(NAMES[0], str(broken))
    ensure_vulkan.cache_clear()
    with pytest.raises(ValueError, match="no Vulkan driver that works"):
        ensure_vulkan()


@pytest.mark.parametrize(
    ("version", "message"), [("", "ManiSkill is not installed"), ("2.4.1", "ManiSkill 2.4.1 is installed")]
)
def test_a_missing_or_another_version_is_refused_with_the_command_that_installs_it(version: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*pip install mani-skill==3.0.1"):
        check_version(version)


@pytest.mark.skipif(sys.platform != "linux", reason="needs bash and Linux")
def test_the_script_says_at_once_where_the_driver_is_if_it_was_unpacked(tmp_path: Path) -> None:
    (tmp_path / "lvp_icd.json").touch()
    finished = subprocess.run(["bash", SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    assert finished.stdout == f"the driver is there already: {tmp_path}/lvp_icd.json\n"
