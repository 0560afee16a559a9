"""CALVIN's simulator of one scene, started in exactly the same state for equal states of the scene.

pybullet's collision detection remembers earlier episodes, so that equal resets differ, also after its own `saveState`
and `restoreState`. Therefore the world is built anew at every reset. Source: calvin_env, envs/play_table_env.py.
"""

import contextlib
import importlib
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from astra.environments.calvin.clones import Clones, load_yaml, simulator_class
from astra.environments.calvin.drawing.cameras import Cameras
from astra.environments.calvin.drawing.coarse_robot import coarse_robot
from astra.environments.calvin.scene import BLOCKS, Block, SceneState, Snapshot
from astra.environments.foreign_packages import quiet

FPS = 30.0
"""Timesteps per second."""
PHYSICS_STEPS = 8
"""Steps of the physics per timestep."""
STEP, TURN = 0.02, 0.05
"""Meters and radians by which an action of 1 moves the target of the gripper."""
START = np.array(
    [
        *(0.02586889, -0.2313129, 0.5712808, 3.09045411, -0.02908596, 1.50013585, 0.07999963),
        *(-1.21779124, 1.03987629, 2.11978254, -2.34205014, -0.87015899, 1.64119093, 0.55344928, 1.0),
    ]
)
"""State of the robot at the start of a chain. Source: calvin, evaluation/utils.py."""
IN_USE = (
    "CALVIN's simulator holds one environment per process, because parts of it do not say which one they mean: close "
    "the other environment, or start another process (--workers 2)"
)
"""Message for a second environment."""
OTHER = (
    "this process runs another simulation of pybullet, such as VIMA-Bench's; CALVIN's has to be the first one: "
    "close it, or start another process"
)
"""Message for a process in which pybullet is in use."""


class Simulator:
    """One scene with the robot.

    Args:
        clones: The user's clones.
        scene: Letter of the scene.

    Raises:
        ValueError: if a package is missing, or the process has another simulator that is not spare.
    """

    _alive: "Simulator | None" = None

    def __init__(self, clones: Clones, scene: str) -> None:
        """Load the scene, which takes a second."""
        if Simulator._alive is not None:
            if not Simulator._alive.spare:
                raise ValueError(IN_USE)
            Simulator._alive.close()
        base = simulator_class(clones)
        if importlib.import_module("pybullet").isConnected(0):
            raise ValueError(OTHER)
        self.spare = False
        """Whether the next simulator may take its place."""
        with quiet(errors=True):
            self._raw: Any = _quiet_kind(base)(**_configuration(clones, scene))
        self._client: Any = self._raw.p
        self.robot, self.scene = self._raw.robot, self._raw.scene
        try:
            self._load()
        except BaseException:
            self._client.disconnect()
            raise
        Simulator._alive = self
        self.surfaces: dict[str, np.ndarray] = {
            name: np.array([list(corner) for corner in corners]) for name, corners in self.scene.surfaces.items()
        }
        """Lower and upper corner of the places where blocks may start: table, slider_left and slider_right."""
        blocks = tuple(block.uid for block in self._blocks.values())
        self._cameras = Cameras(clones, self._client, self.robot.robot_uid, blocks)

    @property
    def alive(self) -> bool:
        """Whether it was not closed."""
        return Simulator._alive is self

    def reset(self, state: SceneState, robot: Float[np.ndarray, "15"] = START) -> None:
        """Start an episode; equal arguments start it in exactly the same state."""
        self._load()
        poses = [state.blocks[name] for name in self._blocks]
        doors = [state.slider, state.drawer]
        lights = [float(state.lightbulb), float(state.led)]
        self.scene.reset(np.concatenate([doors, [state.button, state.switch], lights, *poses]))
        self.robot.reset(np.asarray(robot))
        self.robot.gripper_action = int(robot[-1])
        self._button.prev_is_pressed = False
        self._client.stepSimulation()

    def step(self, action: Float[np.ndarray, "7"]) -> None:
        """Move the target of the gripper by an action, of which the last number is exactly -1 or 1."""
        self.robot.apply_action(np.asarray(action, np.float64))
        for _ in range(PHYSICS_STEPS):
            self._client.stepSimulation()
        self.scene.step()

    def _load(self) -> None:
        """Build the world anew."""
        with quiet(errors=True):
            self.scene.np_random = np.random.default_rng(0)
            self._raw.load()
        self._client.setPhysicsEngineParameter(deterministicOverlappingPairs=1)  # loading has reset it
        self.table: Any = self.scene.fixed_objects[0]
        """The table, with doors, drawer, button and switch."""
        self._blocks = {block.name.removeprefix("block_"): block for block in self.scene.movable_objects}
        (self._button,), (self._switch,) = self.scene.buttons, self.scene.switches
        self._doors = {door.name: door for door in self.scene.doors}
        self._lights = {light.name: light for light in self.scene.lights}

    @property
    def proprioception(self) -> Float[np.ndarray, "15"]:
        """Position and Euler angles of the gripper, its opening, seven joints, and the last gripper action."""
        return np.array(self.robot.get_observation()[0])

    @property
    def state(self) -> SceneState:
        """State of the scene."""
        return SceneState(
            slider=self._doors["base__slide"].get_state(),
            drawer=self._doors["base__drawer"].get_state(),
            button=self._button.get_state(),
            switch=self._switch.get_state(),
            lightbulb=bool(self._lights["lightbulb"].get_state()),
            led=bool(self._lights["led"].get_state()),
            blocks={name: self._blocks[name].get_state() for name in BLOCKS},
        )

    def snapshot(self) -> Snapshot:
        """Return what the success of tasks depends on."""
        client = self._client
        blocks = {}
        for name in BLOCKS:
            body = self._blocks[name].uid
            position, quaternion = client.getBasePositionAndOrientation(body)
            blocks[name] = Block(
                position=np.array(position),
                quaternion=np.array(quaternion),
                velocity=np.concatenate(client.getBaseVelocity(body)),
                body=body,
                contacts=frozenset((point[2], point[4]) for point in client.getContactPoints(bodyA=body)),
            )
        robot = self.robot.robot_uid
        return Snapshot(
            slider=self._doors["base__slide"].get_state(),
            drawer=self._doors["base__drawer"].get_state(),
            lightbulb=bool(self._lights["lightbulb"].get_state()),
            led=bool(self._lights["led"].get_state()),
            blocks=blocks,
            robot_touches=frozenset(point[2] for point in client.getContactPoints(bodyA=robot)),
            robot=robot,
            table=self.table.uid,
            links=dict(self.table.info_dict["links"]),
        )

    def reference_info(self) -> dict[str, Any]:
        """Return what calvin_env's own success checks read, to compare with."""
        info: dict[str, Any] = self._raw.get_info()
        return info

    @property
    def door_left(self) -> float:
        """Position of the sliding door at its left end."""
        return float(self._client.getJointInfo(self.table.uid, self._doors["base__slide"].joint_index)[9])

    def box(self, link: str) -> Float[np.ndarray, "2 3"]:
        """Return the lower and the upper corner of the box around a link of the table."""
        return np.array(self._client.getAABB(self.table.uid, self.table.info_dict["links"][link]))

    @cached_property
    def block_lengths(self) -> dict[str, float]:
        """Length of each block in meters, along its x axis; width and height are 4 cm."""
        shapes = {name: self._client.getCollisionShapeData(block.uid, -1)[0] for name, block in self._blocks.items()}
        return {name: float(shape[3][0]) for name, shape in shapes.items()}

    @property
    def target(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Position and Euler angles to which the gripper is moving; actions add to them."""
        return np.array(self.robot.target_pos), np.array(self.robot.target_orn)

    def render(self, camera: str, side: int) -> UInt8[np.ndarray, "side side 3"]:
        """Render the camera `static` or `gripper`, square with a side in pixels."""
        return self._cameras.render(camera, side)

    def close(self) -> None:
        """End the simulation; the process may then start another one."""
        if self.alive:
            Simulator._alive = None
            self._client.disconnect()


def _configuration(clones: Clones, scene: str) -> dict[str, Any]:
    """Return the arguments of calvin_env's environment, without cameras."""
    conf = clones.environment / "conf"
    fingers = load_yaml(conf / "robot/panda_longer_finger.yaml")
    robot = {**load_yaml(conf / "robot/panda.yaml"), **fingers, "_convert_": "all"}
    del robot["defaults"]
    robot["filename"] = str(coarse_robot(clones.environment / "data" / robot["filename"]))
    whole = {
        "robot": robot,
        "scene": load_yaml(conf / f"scene/calvin_scene_{scene}.yaml"),
        "data_path": str(clones.environment / "data"),
    }
    node: Any = importlib.import_module("omegaconf").OmegaConf.create(whole)
    return {
        "robot_cfg": node.robot,
        "scene_cfg": node.scene,
        "cameras": {},
        "seed": 0,
        "bullet_time_step": PHYSICS_STEPS * FPS,
        "control_freq": FPS,
        "use_scene_info": True,
        "use_vr": False,
        "show_gui": False,
        "use_egl": False,
    }


def _quiet_kind(base: Any) -> Any:
    """Return calvin_env's class without its end, which prints, and disconnects whoever has its number by then.

    If it cannot be made, it disconnects at once, and not when it is collected as garbage.
    """

    class Quiet(base):
        def __init__(self, **configuration: Any) -> None:
            try:
                super().__init__(**configuration)
            except BaseException:
                with contextlib.suppress(importlib.import_module("pybullet").error):
                    self.p.disconnect()
                raise

        def __del__(self) -> None:
            pass

    return Quiet
