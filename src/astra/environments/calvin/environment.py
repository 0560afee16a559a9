"""The environment of CALVIN: chains of instructions in one of four scenes, from states or two cameras."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from astra.environments.calvin.clones import Clones, find_clones
from astra.environments.calvin.oracle import make_oracle
from astra.environments.calvin.prefix import situation
from astra.environments.calvin.sampling import LENGTH, read_chains
from astra.environments.calvin.simulator import FPS, Simulator
from astra.environments.calvin.starts import protocol_start
from astra.environments.calvin.tasks import TASKS, initial_worlds
from astra.environments.calvin.vectors import ROBOT, SIZES, state_vectors
from astra.environments.environment import Environment, EnvironmentObservation, reset_options
from astra.environments.spaces import observation_space, unit_action, unit_action_space
from astra.storage.numbers import Count, Pixels, check_numbers
from astra.trajectory import ActionSpec, TrajectorySpec

CAMERAS = {"observation.images.static": "static", "observation.images.gripper": "gripper"}
"""The two cameras by column name."""
ACTIONS = ActionSpec(
    names=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    low=(-1.0,) * 7,
    high=(1.0,) * 7,
    binary=(False,) * 6 + (True,),
)
"""Steps of the gripper's target (1 is 2 cm or 0.05 rad), and the gripper: 1 opens, -1 closes."""
EXPECTED = (
    "an action of CALVIN is seven finite numbers from -1 to 1 (steps in x, y, z, roll, pitch, yaw, and the gripper)"
)
BOUND = 10.0
"""Largest absolute value of an observed number."""
Scene = Literal["A", "B", "C", "D"]
Kind = Literal["state", "images"]
"""Observation beside the robot's state: a state vector of each fixture and block, or two cameras."""
Episodes = Literal["chains", "tasks"]
"""Kind of episode: chains of five instructions, or one instruction."""
Sentences = Literal["validation", "training"]
"""Which sentences are told: the one per task for validation, or one of the 7 to 20 per task for training."""


@dataclass(frozen=True, kw_only=True)
class CalvinOptions:
    """Options of CALVIN."""

    calvin: str = ""
    """Folder of the clones of calvin_env and calvin; empty: the environment variable CALVIN_ROOT names it."""
    scene: Scene = "D"
    """Letter of the scene. The protocol measures in D."""
    play: Episodes = "chains"
    """Kind of episode: the protocol's chains of five instructions, or the 34 tasks one by one."""
    sentences: Sentences = "validation"
    """Sentences that are told: the protocol's one per task, which is in no demonstration, or those of training."""
    observation: Kind = "state"
    """Observation beside the robot's state: a state vector of each fixture and block, or two cameras."""
    static_size: Pixels = 64
    """Side in pixels of the static camera's frames, if any; the reference's is 200."""
    gripper_size: Pixels = 64
    """Side in pixels of the gripper camera's frames, if any; the reference's is 84."""
    steps_per_instruction: Count = 360
    """Timesteps after which an instruction has failed. Source: the protocol."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if a number is out of range, or chains are to be played outside of scene D.
        """
        check_numbers(self, "")
        if self.play == "chains" and self.scene != "D":
            raise ValueError(
                f"the protocol's chains start in places of scene D, got --scene {self.scene}: leave it out, or add "
                "--play tasks, which measures the 34 tasks one by one in any scene"
            )


class Calvin(Environment):
    """Chains of instructions, each of which begins where the one before was done.

    A chain is one of the protocol's 1,000: the last three digits of the seed are its number, so that episodes with the
    seeds 100,000 to 100,099 are the first hundred. It begins in the protocol's state. The option `task` of `reset` asks
    for one instruction, in a situation that the seed draws. The episode ends when an instruction is not done in time,
    or all are done, which is its success. `scores` has `1 in a row` to `5 in a row`, whether that many instructions
    were done, and `length`, their number; with one instruction there are none.

    An error of the simulator ends the episode; what was done before counts.

    Raises:
        ValueError: if the clones or a package are missing, or the process has another environment.
    """

    task: str
    metadata = {"render_modes": ["rgb_array"], "render_fps": round(FPS)}  # noqa: RUF012
    render_mode = "rgb_array"
    video_size = 200
    """Height and width of video frames, in pixels."""

    def __init__(self, options: CalvinOptions) -> None:
        self.options = options
        clones = find_clones(options.calvin)
        self.sentences = sentences(clones, options.sentences)
        """Sentences that may be told, by task."""
        self.oracle = make_oracle(clones.yaml(tasks=True)["tasks"])
        """Check of every task."""
        self.simulator = Simulator(clones, options.scene)
        self.task = "chain" if options.play == "chains" else next(iter(TASKS))
        self.names: tuple[str, ...] = ("open_drawer",)
        """Tasks of the episode in turn."""
        self.done = 0
        """Number of instructions that were done."""
        self.told: tuple[str, ...] = (self.sentences["open_drawer"][0],)
        """The sentence of each task."""
        self.instruction = self.told[0]
        self.max_timesteps = options.steps_per_instruction * (LENGTH if options.play == "chains" else 1)
        self._elapsed = self._timestep = 0
        self._when: list[int] = []
        sides = {"static": options.static_size, "gripper": options.gripper_size}
        images = {name: (sides[camera], sides[camera]) for name, camera in CAMERAS.items()}
        self.spec_of_trajectories = TrajectorySpec(
            states={name: SIZES[name] for name in SIZES if name == ROBOT or options.observation == "state"},
            actions=ACTIONS,
            images=images if options.observation == "images" else {},
            instructions=tuple(sorted({sentence for told in self.sentences.values() for sentence in told})),
            fps=FPS,
        )
        self.action_space = unit_action_space(self.spec_of_trajectories)
        self.observation_space = observation_space(self.spec_of_trajectories, BOUND)

    @property
    def present(self) -> str:
        """Name of the present task."""
        return self.names[min(self.done, len(self.names) - 1)]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[EnvironmentObservation, dict[str, Any]]:
        """Start an episode. Equal seeds and options give bitwise equal episodes.

        Raises:
            ValueError: for an unknown option, chain or task.
        """
        super(Environment, self).reset(seed=seed)
        if task := self._chosen(options or {}):
            situation(self.simulator, self.oracle, task, self.np_random)
            self.names, self.task = (task,), task
        else:
            chains = read_chains()
            number = int(self.np_random.integers(len(chains))) if seed is None else seed % len(chains)
            world, self.names = chains[number]
            self.simulator.reset(protocol_start(initial_worlds()[world]))
            self.task = "chain"
        self.told = tuple(str(self.np_random.choice(self.sentences[name])) for name in self.names)
        self.done, self._timestep, self._when = 0, 0, []
        self._begin()
        return self.observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[EnvironmentObservation, float, bool, bool, dict[str, Any]]:
        """Move the gripper for one timestep. The reward is 1 when an instruction is done.

        Raises:
            ValueError: if the action is not seven finite numbers from -1 to 1.
        """
        numbers = unit_action(action, len(ACTIONS), EXPECTED)
        numbers[6] = 1.0 if numbers[6] > 0 else -1.0
        self._elapsed += 1
        self._timestep += 1
        try:
            self.simulator.step(numbers)
            done = self.oracle[self.present](self._start, self.simulator.snapshot())
            observation = self.observe()
        except Exception as error:  # whatever calvin_env or pybullet raise
            warnings.warn(f"CALVIN's simulator failed in {self.task}: {error!r}; what was done counts", stacklevel=2)
            return self._last, 0.0, False, True, self._info()
        if done:
            self.done += 1
            self._when.append(self._timestep)
            if self.done < len(self.names):
                self._begin()
        finished = self.done == len(self.names)
        late = self._elapsed >= self.options.steps_per_instruction and not done
        self._last = observation
        return observation, float(done), finished or late, False, self._info()

    def observe(self) -> EnvironmentObservation:
        """Return the current observation."""
        vectors = self._vectors()
        observation = {
            name: vectors[name].clip(-BOUND, BOUND).astype(np.float32) for name in self.spec_of_trajectories.states
        }
        for name, (side, _) in self.spec_of_trajectories.images.items() if self.renders else ():
            observation[name] = self.simulator.render(CAMERAS[name], side)
        self._last = observation
        return observation

    def frame(self) -> np.ndarray:
        """Render the static camera at the reference's size: uint8, height x width x 3."""
        return self.simulator.render("static", self.video_size)

    def render(self) -> np.ndarray:
        """Render the same image as `frame`."""
        return self.frame()

    def no_op_action(self) -> np.ndarray:
        """Return the action that keeps the target and the fingers as they are."""
        action = np.zeros(len(ACTIONS), np.float32)
        action[6] = self.simulator.robot.gripper_action
        return action

    def close(self) -> None:
        """End the simulation."""
        self.simulator.close()

    def _chosen(self, options: Mapping[str, Any]) -> str:
        """Return the name of the task that is asked for; empty: a chain.

        Raises:
            ValueError: for an unknown option or task.
        """
        reset_options("CALVIN", options, ("task",))
        drawn = str(self.np_random.choice(list(TASKS))) if self.options.play == "tasks" else ""
        task = str(options.get("task", drawn))
        if task and task not in TASKS:
            raise ValueError(f"CALVIN has no task {task!r}; it has {', '.join(TASKS)}")
        return task

    def _begin(self) -> None:
        """Start the next instruction; the world stays as it is."""
        self.instruction = self.told[self.done]
        self._start = self.simulator.snapshot()
        self._elapsed = 0

    def _info(self) -> dict[str, Any]:
        scores = {f"{number} in a row": float(self.done >= number) for number in range(1, len(self.names) + 1)}
        done = dict(zip(self.names, self._when, strict=False))
        info: dict[str, Any] = {"is_success": self.done == len(self.names), "done": done}
        return {**info, "scores": {**scores, "length": float(self.done)}} if len(self.names) > 1 else info

    def _vectors(self) -> dict[str, np.ndarray]:
        state = self.simulator.state
        fixtures = [state.slider, state.drawer, state.button, state.switch, state.lightbulb, state.led]
        robot = self.simulator.proprioception
        return state_vectors(robot, np.array(fixtures, np.float64), state.blocks, self.options.scene)


def sentences(clones: Clones, kind: Sentences) -> dict[str, tuple[str, ...]]:
    """Return the sentences of each task: one for validation, or those of training."""
    annotations = clones.yaml(annotations="new_playtable" if kind == "training" else "new_playtable_validation")
    return {name: tuple(annotations[name]) for name in TASKS}
