"""The simulator of Franka Kitchen: gymnasium-robotics, checked, and started in exactly the same state for equal seeds.

Source: gymnasium-robotics 1.4.2 (extra `kitchen`), its environment FrankaKitchen-v1.
"""

import contextlib
import importlib
import io
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from jaxtyping import Float

INSTALL = (
    "run pip install 'gymnasium-robotics==1.4.2' 'mujoco>=3.3,<3.12', or pip install '.[kitchen]' in Astra's folder"
)
"""How to install the simulator."""
ROBOTICS = (1, 4)
"""Version of gymnasium-robotics with which everything was measured."""
MUJOCO = ((3, 3), (3, 12))
"""First version of MuJoCo that works, and first one that does not."""
TIMESTEP = 0.08
"""Seconds of a timestep: forty steps of the physics, of 2 ms each."""
REACH = 2 * TIMESTEP
"""Change of a joint's target (radians, or meters of a finger) that an action of 1 asks for."""
JOINTS = 7
"""Joints of the arm; the two fingers follow them."""
FINGERS = slice(7, 9)
"""Places of the fingers among the positions."""
DRAWN = ("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "light_xpos", "light_xdir")
"""Arrays of a `mujoco.MjData` that pictures are drawn from."""


class Simulator:
    """The kitchen and its robot.

    Raises:
        ValueError: if gymnasium-robotics or MuJoCo is missing or has a version that does not work.
    """

    def __init__(self) -> None:
        """Load the scene, which takes a second."""
        self.mujoco: Any = None
        raw = kitchen_class()()
        self.mujoco = importlib.import_module("mujoco")
        self._raw: Any = raw
        self.model: Any = raw.model
        self.data: Any = raw.data
        self.start = np.array(raw.robot_env.init_qpos)
        """The 30 positions at the start of an episode that is not perturbed."""
        gains = self.model.actuator_gainprm[:JOINTS, 0]
        self._sag = gains * REACH

    def reset(self, seed: int, positions: Float[np.ndarray, "30"] | None = None) -> None:
        """Start an episode.

        Args:
            seed: Seed of the noise on the robot's sensors.
            positions: Positions of the robot and of the objects; None: the kitchen's own.
        """
        self._raw.robot_env.init_qpos = self.start if positions is None else positions
        self._raw.reset(seed=seed)
        self.mujoco.mj_forward(self.model, self.data)

    def step(self, action: Float[np.ndarray, "9"]) -> None:
        """Move the joints for one timestep."""
        self._raw.robot_env.step(action)

    @property
    def positions(self) -> Float[np.ndarray, "30"]:
        """Positions of the robot (7 joints, 2 fingers) and of the objects (21), without noise."""
        return np.array(self.data.qpos)

    @property
    def sensed(self) -> Float[np.ndarray, "9"]:
        """Positions of the robot as its sensors report them; actions are relative to these."""
        return np.array(self._raw.robot_env._last_robot_qpos)

    def hold(self) -> Float[np.ndarray, "7"]:
        """Return the actions of the joints that carry the arm's weight; without them the arm sinks."""
        return np.array(self.data.qfrc_bias[:JOINTS]) / self._sag

    def tip(self) -> Float[np.ndarray, "3"]:
        """Return the point between the fingertips, in meters."""
        return np.array(self.data.site("end_effector").xpos)

    def poses(self) -> dict[str, np.ndarray]:
        """Return the poses of everything that is drawn, with which `posed` shows the present state later."""
        return {name: np.array(getattr(self.data, name)) for name in DRAWN}

    @cached_property
    def _shown(self) -> Any:
        return self.mujoco.MjData(self.model)

    def posed(self, poses: Mapping[str, np.ndarray]) -> Any:
        """Return a `mujoco.MjData` to draw an earlier state from; the present state stays as it is."""
        for name, values in poses.items():
            getattr(self._shown, name)[:] = values
        return self._shown

    def close(self) -> None:
        """Release what the simulator holds, some 100 MB, also where an expert or an agent still holds the simulator."""
        if self._raw is not None:
            self._raw.close()
            self.__dict__.pop("_shown", None)
            self._raw = self.model = self.data = None


def kitchen_class() -> Any:
    """Return the class of gymnasium-robotics' kitchen.

    Raises:
        ValueError: if gymnasium-robotics or MuJoCo is missing or has a version that does not work.
    """
    check_versions(_version("gymnasium-robotics"), _version("mujoco"))
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the import prints a note about other environments
            module = importlib.import_module("gymnasium_robotics.envs.franka_kitchen")
    except ImportError as error:
        raise ValueError(f"cannot import Franka Kitchen ({error}); {INSTALL}") from error
    return module.KitchenEnv


def check_versions(robotics: str, mujoco: str) -> None:
    """Check the versions of gymnasium-robotics and MuJoCo; empty ones are missing.

    Raises:
        ValueError: if one is missing or does not work.
    """
    if not robotics or not mujoco:
        missing = "gymnasium-robotics" if not robotics else "mujoco"
        raise ValueError(f"Franka Kitchen is not installed ({missing} is missing); {INSTALL}")
    if _numbers(robotics) != ROBOTICS:
        raise ValueError(f"Franka Kitchen needs gymnasium-robotics 1.4, got {robotics}; {INSTALL}")
    if not MUJOCO[0] <= _numbers(mujoco) < MUJOCO[1]:
        raise ValueError(f"Franka Kitchen needs MuJoCo 3.3 to 3.11, got {mujoco}; {INSTALL}")


def is_installed() -> bool:
    """Whether the simulator can be imported."""
    try:
        kitchen_class()
    except ValueError:
        return False
    return True


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _numbers(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
