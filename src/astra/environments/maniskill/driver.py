"""The Vulkan driver, without which nothing of ManiSkill runs, not even its physics.

Whether a driver works is known only after a renderer was made with it, and one that fails can end the process.
Therefore this is tried in a process of its own, once; the answer is kept in environment variables, so that worker
processes need not ask again.

The drivers are asked in this order: those that `VK_ICD_FILENAMES` or `VK_DRIVER_FILES` names, and no other if one is
set; the software driver that `scripts/software_vulkan.sh` unpacks, in the project around Astra's sources or
in the working directory; those of the system.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NAMES = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES")
"""Variables that name drivers to Vulkan."""
WORKS = "ASTRA_VULKAN_WORKS"
"""Variable that names the drivers that were found to work, so that no other process asks again."""
UNPACKED = Path(".cache") / "software-vulkan" / "lvp_icd.json"
"""Driver that the script unpacks, in the folder of the project."""
SECONDS = 120
"""Time that a driver has to answer."""
TRIAL = """
import sapien
sapien.render.RenderSystem("cpu")
print("works")
"""
"""Program that prints "works" if ManiSkill's renderer can be made, with what it needs of a driver."""
REMEDY = (
    "Run scripts/software_vulkan.sh in Astra's folder: it unpacks Mesa's driver for CPUs there and changes nothing of "
    "the system (Debian 12; elsewhere it says what to install). Without a driver nothing of ManiSkill runs, not even "
    "without images"
)


@functools.cache
def ensure_vulkan() -> None:
    """Find a Vulkan driver that works, and let this process and those that it starts use it.

    Raises:
        ValueError: if none works.
    """
    chosen = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    if os.environ.get(WORKS) == str(chosen):
        return
    candidates = [chosen] if chosen else [{}]
    unpacked = [] if chosen else [folder / UNPACKED for folder in folders()]
    candidates = [*(dict.fromkeys(NAMES[:1], str(driver)) for driver in unpacked if driver.exists()), *candidates]
    reasons = [f"{driver}: there is no such file" for driver in unpacked if not driver.exists()]
    for candidate in candidates:
        reason = _reason_against(candidate)
        if not reason:
            os.environ.update({**candidate, WORKS: str(candidate)})
            return
        reasons.append(f"{' and '.join(candidate.values()) or 'the system'}: {reason}")
    raise ValueError(f"ManiSkill finds no Vulkan driver that works ({'; '.join(reasons)}). {REMEDY}")


def folders() -> list[Path]:
    """Return the folders in which a driver may have been unpacked: that of the sources, and the working directory.

    An installed Astra has no such folder around it, so it must be run where the script was.
    """
    return list(dict.fromkeys((Path(__file__).resolve().parents[4], Path.cwd())))


def _reason_against(driver: Mapping[str, str]) -> str:
    """Return why a driver does not work, in a line; empty if it does."""
    missing = [path for path in driver.values() if not any(Path(part).exists() for part in path.split(os.pathsep))]
    if missing:
        return "there is no such file"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", TRIAL],
            env={**os.environ, **driver},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer after {SECONDS} seconds"
    if "works" in tried.stdout:
        return ""
    lines = tried.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process ended with {tried.returncode}"
