"""The robot `panda` and the cameras of every scene of ManiSkill, drawn by our own shader; and resets that are cheap."""

import gc
import math
from pathlib import Path
from typing import Any

from astra.environments.maniskill.drawing.arm import draw_coarsely
from astra.environments.maniskill.package import maniskill

SHADER = Path(__file__).with_name("shader")
"""Our own shader: ManiSkill's take a software driver eleven seconds to compile, in every process."""
EYE, LOOKED_AT = (0.45, 0.0, 0.60), (-0.13, 0.0, 0.0)
"""Place of the base camera, which looks at the robot, and the point that it looks at. From higher up the hand would
hide more: of 36 starts, this view shows the target in 35, and (0.30, 0, 0.80) in 30."""
HAND_EYE = (0.07, 0.0, 0.02)
"""Place of the hand camera in the frame of `panda_hand`; it looks along the fingers."""
FIELD = {"base": 0.8, "hand": 1.4, "video": 0.8}
"""Vertical field of view of each camera in radians."""
SEARCHES = 20
"""Number of resets after which Python searches for garbage."""
CONTROL = "pd_ee_delta_pose"
"""ManiSkill's controller: steps of the gripper's pose and the opening of the fingers."""


def with_cameras(base: Any) -> Any:
    """Return a subclass of a `BaseEnv` of ManiSkill, with our robot, controller and cameras.

    Its constructor takes the sides in pixels of the cameras `base`, `hand` and `video`. Everything is built anew at
    each reset, so that equal seeds give equal episodes.

    Raises:
        ValueError: if ManiSkill is missing or cannot run.
    """
    modules = maniskill()
    sapien, camera = modules["sapien"], modules["camera"]
    config = modules["shaders"].ShaderConfig(
        shader_pack=str(SHADER), texture_names={"Color": ["rgb"]}, texture_transforms={"Color": _rgb}
    )

    class Seen(base):
        """A scene with the robot and our cameras."""

        def __init__(self, sides: dict[str, int]) -> None:
            self.sides, self._cleared = sides, 0
            super().__init__(
                robot_uids="panda",
                obs_mode="none",
                reward_mode="none",
                control_mode=CONTROL,
                sim_backend="physx_cpu",
                render_backend="cpu",
                reconfiguration_freq=1,
            )

        def _clear(self) -> None:
            """Release the scene; Python's search for garbage, which takes most of a reset, is made now and then."""
            self._cleared += 1
            if spared := self._cleared % SEARCHES != 0:
                gc.freeze()
            super()._clear()
            if spared:
                gc.unfreeze()

        def _load_agent(self, options: dict[str, Any], *others: Any, **named: Any) -> None:
            super()._load_agent(options, *others, **named)
            draw_coarsely(sapien, self.agent.robot)

        @property
        def _default_sensor_configs(self) -> list[Any]:
            fixed = modules["looking"].look_at(EYE, LOOKED_AT)
            turned = sapien.Pose(HAND_EYE, [math.cos(math.pi / 4), 0, -math.sin(math.pi / 4), 0])
            return [self._camera("base", fixed), self._camera("hand", turned, mount=self._hand())]

        @property
        def _default_human_render_camera_configs(self) -> list[Any]:
            return [self._camera("video", modules["looking"].look_at(EYE, LOOKED_AT))]

        def _camera(self, name: str, pose: Any, **others: Any) -> Any:
            side = self.sides[name]
            sizes = dict(width=side, height=side, fov=FIELD[name], near=0.01, far=10.0)
            return camera.CameraConfig(uid=name, pose=pose, shader_config=config, **sizes, **others)

        def _hand(self) -> Any:
            return self.agent.robot.links_map["panda_hand"]

        def _load_lighting(self, options: dict[str, Any]) -> None:
            """Leave out lights: the shader has its own."""

        def _setup_sensors(self, options: dict[str, Any]) -> None:
            sapien.render.set_picture_format("Color", "r8g8b8a8unorm")
            super()._setup_sensors(options)

    return Seen


def _rgb(picture: Any) -> dict[str, Any]:
    return {"rgb": picture[..., :3]}
