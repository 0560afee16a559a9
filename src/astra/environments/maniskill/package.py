"""The package mani_skill: checked, and imported unchanged with a Vulkan driver that works.

Its planner (mplib) is never used: with NumPy 2 it ends the process.
"""

import functools
import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from astra.environments.foreign_packages import quiet
from astra.environments.maniskill.driver import ensure_vulkan

VERSION = "3.0"
"""Version of mani_skill with which everything was measured."""
INSTALL = "run pip install mani-skill==3.0.1, or pip install '.[maniskill]' in Astra's folder"
"""How to install the simulator."""
MODULES = {
    "sapien": "sapien",
    "base": "mani_skill.envs.sapien_env",
    "camera": "mani_skill.sensors.camera",
    "shaders": "mani_skill.render.shaders",
    "poses": "mani_skill.utils.structs.pose",
    "looking": "mani_skill.utils.sapien_utils",
    "panda": "mani_skill.agents.robots.panda",
    "hulls": "scipy.spatial",
}
"""The modules that are used, by our name."""


def check_version(found: str) -> None:
    """Check the version of mani_skill; an empty one is missing.

    Raises:
        ValueError: if it is missing or was not tested.
    """
    if not found:
        raise ValueError(f"ManiSkill is not installed; {INSTALL}")
    if found.split(".")[:2] != VERSION.split("."):
        raise ValueError(f"ManiSkill {found} is installed, but its episodes may differ from those of 3.0.1; {INSTALL}")


@functools.cache
def maniskill() -> dict[str, Any]:
    """Import the simulator and return its modules by our names.

    Raises:
        ValueError: if it is missing, has another version, cannot be imported, or no Vulkan driver works.
    """
    check_version(installed_version())
    ensure_vulkan()
    try:
        with quiet():
            return {name: importlib.import_module(path) for name, path in MODULES.items()}
    except ImportError as error:
        raise ValueError(f"cannot import ManiSkill ({error}); {INSTALL}") from error


def installed_version() -> str:
    """Return the installed version of mani_skill; empty: there is none."""
    try:
        return version("mani-skill")
    except PackageNotFoundError:
        return ""


def reason_against() -> str:
    """Return why ManiSkill cannot run here; empty: it can."""
    try:
        check_version(installed_version())
        ensure_vulkan()
    except ValueError as error:
        return str(error)
    return ""
