"""The user's clones of calvin_env and calvin: found, checked, and calvin_env imported unchanged with current libraries.

calvin_env was written for gym 0.21, and imports git, quaternion and cv2 for functions that nothing here calls. During
the import `gym` is gymnasium and the others are empty modules; afterwards all names are restored. No file is changed.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from astra.environments.foreign_packages import quiet, stand_in_modules

VARIABLE = "CALVIN_ROOT"
"""Environment variable that names the folder of the clones."""
INSTALL = (
    "git clone https://github.com/mees/calvin_env and git clone https://github.com/mees/calvin in one folder, and name "
    f"that folder by --calvin or {VARIABLE}; docs/calvin.md has the commands"
)
"""How to get the clones."""
PACKAGES = "run pip install '.[calvin]' in Astra's folder, with Python 3.11: pybullet has no package for later versions"
"""How to get the packages that the simulator needs."""
ENVIRONMENT_REVISION, LANGUAGE_REVISION = "797142c", "fa03f01"
"""Commits of calvin_env and calvin with which everything was measured."""
ENVIRONMENT_SUM = "56171d58c3dea8f9523d2a2ef7ca63c379befd1a3b2cb97351977b3696217f86"
LANGUAGE_SUM = "6f792d5a0739a2672e4d7dc5a1a1394ea5c8c0d149cd16edbc7b2cbf6d9c070a"
"""SHA-256 of the files that are read; other commits with the same files work too."""
CONF = "calvin_models/conf"
"""Folder of the configurations in calvin."""
LANGUAGE_FILES = (
    f"{CONF}/annotations/new_playtable.yaml",
    f"{CONF}/annotations/new_playtable_validation.yaml",
    f"{CONF}/callbacks/rollout/tasks/new_playtable_tasks.yaml",
)
"""Training sentences, validation sentences and thresholds of the tasks."""
ENVIRONMENT_FILES = (
    "calvin_env/camera/*.py",
    "calvin_env/envs/play_table_env.py",
    "calvin_env/robot/*.py",
    "calvin_env/scene/*.py",
    "calvin_env/scene/objects/*.py",
    "conf/robot/panda.yaml",
    "conf/robot/panda_longer_finger.yaml",
    "conf/scene/calvin_scene_[ABCD].yaml",
    "data/**/*.urdf",
)
"""Files of calvin_env on which an episode depends; its meshes are not checked."""


@dataclass(frozen=True)
class Clones:
    """Folders of both clones."""

    environment: Path
    """Clone of calvin_env, with the simulator."""
    language: Path
    """Clone of calvin, with the sentences and the thresholds of the tasks."""

    def yaml(self, *, annotations: str = "", tasks: bool = False) -> dict[str, Any]:
        """Return one of the files of `calvin`: the annotations of a name, or the tasks."""
        path = LANGUAGE_FILES[2] if tasks else f"{CONF}/annotations/{annotations}.yaml"
        return load_yaml(self.language / path)


def find_clones(given: str = "") -> Clones:
    """Return the checked clones.

    Args:
        given: Folder that holds both clones, or a clone of calvin with calvin_env as its submodule; empty: the folder
            that CALVIN_ROOT names.

    Raises:
        ValueError: if a clone is missing or has another revision.
    """
    folder = given or os.environ.get(VARIABLE, "")
    if not folder:
        raise ValueError(f"CALVIN needs two repositories: {INSTALL}")
    root = Path(folder).expanduser().absolute()
    environment = _first([root / "calvin_env", root / "calvin" / "calvin_env"], "calvin_env/envs/play_table_env.py")
    language = _first([root, root / "calvin"], LANGUAGE_FILES[0])
    for name, found in {"calvin_env": environment, "calvin": language}.items():
        if found is None:
            submodule = " (an empty submodule is filled by git submodule update --init calvin_env)"
            raise ValueError(f"{root} has no clone of {name}{submodule if name == 'calvin_env' else ''}: {INSTALL}")
    assert environment is not None
    assert language is not None
    names = sorted({path for pattern in ENVIRONMENT_FILES for path in environment.glob(pattern)})
    _check(environment, names, ENVIRONMENT_SUM, ENVIRONMENT_REVISION)
    _check(language, [language / name for name in LANGUAGE_FILES], LANGUAGE_SUM, LANGUAGE_REVISION)
    return Clones(environment, language)


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the contents of a file of the clones; references such as `${robot}` stay text.

    Raises:
        ValueError: if omegaconf is not installed.
    """
    if importlib.util.find_spec("omegaconf") is None:
        raise ValueError(f"CALVIN needs omegaconf, which is not installed: {PACKAGES}")
    omegaconf: Any = importlib.import_module("omegaconf").OmegaConf
    contents: dict[str, Any] = omegaconf.to_container(omegaconf.load(path))
    return contents


def fingerprint(folder: Path, files: list[Path]) -> str:
    """Return the SHA-256 of files and their names, whatever the ends of their lines."""
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n") if path.exists() else b""
        total.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return total.hexdigest()


def simulator_class(clones: Clones) -> Any:
    """Return calvin_env's class of environments, `PlayTableSimEnv`.

    Raises:
        ValueError: if a package is missing, or calvin_env was imported from another folder before.
    """
    name = "calvin_env.envs.play_table_env"
    if name not in sys.modules:
        for package in ("pybullet", "hydra", "omegaconf", "scipy"):
            if importlib.util.find_spec(package) is None:
                raise ValueError(f"CALVIN's simulator needs {package}, which is not installed: {PACKAGES}")
        sys.path.insert(0, str(clones.environment))
        try:
            with stand_in_modules(_stand_ins()), quiet(errors=True):
                module = importlib.import_module(name)
        except ImportError as error:
            for part in [part for part in sys.modules if part.partition(".")[0] == "calvin_env"]:
                del sys.modules[part]
            raise ValueError(f"{clones.environment} cannot be imported ({error}): {PACKAGES}") from error
        finally:
            sys.path.remove(str(clones.environment))
        vars(module)["get_git_commit_hash"] = lambda path: ENVIRONMENT_REVISION  # it would need git and a repository
    module = sys.modules[name]
    if not Path(module.__file__ or "").is_relative_to(clones.environment):
        raise ValueError(
            f"this process has imported calvin_env from {module.__file__}, it cannot use {clones.environment} as well: "
            "start another process"
        )
    return module.PlayTableSimEnv


def _first(folders: list[Path], marker: str) -> Path | None:
    return next((folder for folder in folders if (folder / marker).is_file()), None)


def _check(folder: Path, files: list[Path], expected: str, revision: str) -> None:
    if (found := fingerprint(folder, files)) != expected:
        raise ValueError(
            f"{folder} is not the revision {revision} that Astra was measured with, or was changed (its files have the "
            f"SHA-256 {found[:16]}, expected {expected[:16]}): run git -C {folder} checkout {revision}"
        )


def _stand_ins() -> dict[str, ModuleType]:
    """Return what gym, git, quaternion and cv2 are during the import."""
    seeding = importlib.import_module("gymnasium.utils.seeding")
    empty = {name: ModuleType(name) for name in ("git", "quaternion", "cv2")}
    return {**empty, "gym": gymnasium, "gym.utils": gymnasium.utils, "gym.utils.seeding": seeding}
