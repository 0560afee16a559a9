"""The search for a Vulkan driver, the check of versions, and the script that unpacks a driver."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from astra.environments.maniskill import driver
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


def test_the_driver_that_the_script_unpacked_is_found_from_the_working_directory_of_an_installed_astra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried = list[str]()

    def refuse(driver: dict[str, str]) -> str:
        tried.extend(driver.values())
        return "cannot be loaded"

    for name in (*NAMES, WORKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        driver, "__file__", str(tmp_path / "lib/python3.11/site-packages/astra/environments/x/driver.py")
    )
    monkeypatch.setattr(driver, "_reason_against", refuse)
    for there in (False, True):
        place = tmp_path / driver.UNPACKED
        ensure_vulkan.cache_clear()
        with pytest.raises(ValueError, match=rf"{place}: (there is no such file|cannot be loaded).*the system: cannot"):
            ensure_vulkan()
        assert tried == ([str(place)] if there else [])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


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


TOOLS = {
    "apt-get": 'case "$*" in *download*) touch mesa-vulkan-drivers_1.deb ;; esac',
    "dpkg": """
mkdir -p "$3/usr/lib" "$3/usr/share/vulkan/icd.d"
touch "$3/usr/lib/libvulkan_lvp.so"
echo '{"ICD": {"library_path": "/usr/lib/libvulkan_lvp.so"}}' >"$3/usr/share/vulkan/icd.d/lvp_icd.x86_64.json"
""",
    "ldd": "true",
}
"""What stands for the tools that would fetch and unpack the driver."""
RELEASE = Path("/etc/os-release")
IS_DEBIAN_12 = RELEASE.exists() and {"ID=debian", 'VERSION_ID="12"'} <= set(RELEASE.read_text().splitlines())


def unpack(folder: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with tools that fetch nothing."""
    tools = cwd / "tools"
    tools.mkdir(exist_ok=True)
    for name, body in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", SCRIPT, folder], cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs bash and Linux")
def test_the_script_refuses_a_folder_with_files_of_others_and_leaves_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    for folder in (home, home / "letter.txt"):
        finished = unpack(folder, tmp_path)
        assert finished.returncode == 2
        assert f"{folder} is not empty, and it is no driver that this script unpacked" in finished.stderr
        assert (home / "letter.txt").read_text() == "dear"


@pytest.mark.skipif(not IS_DEBIAN_12, reason="the script knows Debian 12 alone")
@pytest.mark.parametrize("name", ["new", "is empty", r'odd & "quoted" | \1'])
def test_the_script_unpacks_into_a_relative_folder_of_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    if name == "is empty":
        folder.mkdir()
    finished = unpack(Path(name), tmp_path)
    assert finished.returncode == 0, finished.stderr
    library = json.loads((folder / "lvp_icd.json").read_text())["ICD"]["library_path"]
    assert library == str(folder / "usr/lib/libvulkan_lvp.so")
    assert Path(library).exists()
    assert {path.name for path in tmp_path.iterdir()} == {"tools", name}, "nothing is left behind"
