"""The expert of Franka Kitchen: for each task it goes home, then follows that task's waypoints.

It does the tasks in its own order, the hinge cabinet last: its open door would be in the way of others. A task that
fails is tried again. It reads the exact state of the simulator, so it corrects whatever moves the arm or the kettle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from astra.environments.franka_kitchen.environment import FrankaKitchen
from astra.environments.franka_kitchen.kinematics import Kinematics
from astra.environments.franka_kitchen.simulator import JOINTS, REACH
from astra.environments.franka_kitchen.tasks import TASKS
from astra.environments.franka_kitchen.waypoints import HOME, Routine, Waypoint, routines
from astra.storage.numbers import NotNegative, Share, WholeShare, check_numbers

LAST = "hinge cabinet"
"""Task that is always done last."""
SITES = {
    "kettle": "kettle_site",
    "microwave": "microhandle_site",
    "bottom burner": "knob2_site",
    "top burner": "knob4_site",
    "light switch": "light_site",
    "slide cabinet": "slide_site",
    "hinge cabinet": "hinge_site2",
}
"""Site of the model that each task's waypoints are anchored on."""
WELL_DONE = 0.22
"""Distance to the goal at which the expert lets go: less than counts as done, so that the state shows what is done."""
ARRIVED = {"home": 0.17, "pass": 0.08, "move": 0.06, "pull": 0.09, "leave": 0.12}
"""Largest error of a joint in radians at which a waypoint is reached; one on the way to another is passed sooner."""
LIMITS = {"home": 30, "pass": 22, "move": 14, "pull": 22, "push": 30, "leave": 8}
"""Timesteps after which the expert goes on to the next waypoint."""
TRIES = 2
"""Tries of a task after which the others come first."""
STEADY_IN_CONTACT = 0.3
"""Share of the jitter that waypoints in contact with an object get."""
PATIENCE, NOTICEABLE = 9, 0.005
"""Timesteps without progress after which a push is given up, and the change of the distance that counts as progress."""
AHEAD = 3
"""Number of waypoints of a push among which the nearest one to the tip is looked for."""
STEERING, MOST_ASIDE = 0.25, 0.06
"""Meters by which the tip goes aside per radian that a pushed kettle is turned, and the most that it goes aside."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How one demonstration differs from the next; zeros: the expert always does the same."""

    jitter: NotNegative = 0.0
    """Standard deviation in radians of each waypoint's joints; of those in contact with an object, 0.3 of it."""
    slowest: Share = 0.0
    """Each way is made at a speed that is smaller than the full one by up to this share."""
    shuffle: WholeShare = 0.0
    """Share of the episodes in which the order of the tasks is random; the hinge cabinet stays last."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "")


class KitchenExpert:
    """Expert of one episode.

    Args:
        seed: Seed of the variation.
        variation: How much it varies.
    """

    def __init__(self, seed: int = 0, variation: Variation | None = None) -> None:
        self._variation = variation or Variation()
        self._random = np.random.default_rng([seed, 2])
        self._actions: Iterator[np.ndarray] | None = None
        self.tries = dict.fromkeys(TASKS, 0)
        """How often each task was tried."""

    def act(self, environment: FrankaKitchen) -> Float[np.ndarray, "9"]:
        """Return the next action for the current state of the environment."""
        if self._actions is None:
            self._actions = self._episode(environment)
        return next(self._actions).astype(np.float32)

    def _episode(self, kitchen: FrankaKitchen) -> Iterator[Float[np.ndarray, "9"]]:
        order = list(TASKS)
        if self._random.random() < self._variation.shuffle:
            order = [*self._random.permutation([name for name in order if name != LAST]).tolist(), LAST]
        while True:
            asked = [name for name in order if TASKS[name] in kitchen.asked and name not in kitchen.done]
            if not asked:  # only after the episode's end
                yield kitchen.no_op_action()
                continue
            task = asked[0]
            yield from self._go(kitchen, self._jittered(HOME), "home")
            yield from self._do(kitchen, task, routines()[task])
            self.tries[task] += 1
            if task not in kitchen.done and self.tries[task] % TRIES == 0:
                order.remove(task)
                order.append(task)

    def _do(self, kitchen: FrankaKitchen, task: str, routine: Routine) -> Iterator[Float[np.ndarray, "9"]]:
        """Try a task once."""
        shift = kitchen.simulator.data.site(SITES[task]).xpos - routine.anchor
        kinematics = Kinematics(kitchen.simulator)
        pushes: list[Waypoint] = []
        for point, following in zip(routine.waypoints, (*routine.waypoints[1:], None), strict=True):
            # What is pulled or turned is shifted only before it is held: its way is fixed by its hinge.
            shifted = task == "kettle" or point.kind in ("move", "grip")
            joints = self._jittered(point.joints, 1.0 if point.kind in ("move", "leave") else STEADY_IN_CONTACT)
            if shifted and np.abs(shift).max() > 1e-3:
                joints = joints + np.linalg.pinv(kinematics.jacobian(point.joints)[:3]) @ shift
            if point.kind == "push":
                pushes.append(Waypoint(kind="push", joints=joints, tip=kinematics.tip(joints), open=point.open))
                continue
            if pushes:
                yield from self._push(kitchen, kinematics, task, pushes, routine)
                pushes = []
            if point.kind == "grip":
                for _ in range(routine.grip):
                    yield self._towards(kitchen, joints, open=False)
            elif point.kind != "pull" or not self._well_done(kitchen, task):
                passing = point.kind == "move" and following is not None and following.kind == "move"
                yield from self._go(kitchen, joints, "pass" if passing else point.kind, open=point.open, until=task)

    def _go(
        self, kitchen: FrankaKitchen, joints: Float[np.ndarray, "7"], kind: str, *, open: bool = False, until: str = ""
    ) -> Iterator[Float[np.ndarray, "9"]]:
        """Go to joint positions; a pull ends as soon as its task is done."""
        speed = 1.0 - self._variation.slowest * self._random.random()
        for _ in range(LIMITS[kind]):
            arrived = np.abs(joints - kitchen.simulator.positions[:JOINTS]).max() < ARRIVED[kind]
            if arrived or (kind == "pull" and self._well_done(kitchen, until)):
                return
            yield self._towards(kitchen, joints, open=open, speed=speed)

    def _push(
        self, kitchen: FrankaKitchen, kinematics: Kinematics, task: str, points: list[Waypoint], routine: Routine
    ) -> Iterator[Float[np.ndarray, "9"]]:
        """Press on along a line of waypoints, each joint as hard as its error asks for."""
        start = kitchen.simulator.data.site(SITES[task]).xpos[0]
        near, best, idle = 0, np.inf, 0
        for _ in range(LIMITS["push"]):
            distance = TASKS[task].distance(kitchen.simulator.positions)
            idle = 0 if distance < best - NOTICEABLE else idle + 1
            best = min(best, distance)
            if distance < WELL_DONE or idle > PATIENCE:
                return
            distances = [np.linalg.norm(point.tip - kitchen.simulator.tip()) for point in points[near : near + AHEAD]]
            near += int(np.argmin(distances))
            target = points[min(near + routine.lead, len(points) - 1)]
            joints = target.joints
            if task == "kettle":
                aside = np.array([self._aside(kitchen, start), 0.0, 0.0])
                joints = joints + np.linalg.pinv(kinematics.jacobian(joints)[:3]) @ aside
            velocities = routine.gain * (joints - kitchen.simulator.positions[:JOINTS]) / REACH
            if routine.straight:
                velocities /= max(1.0, float(np.abs(velocities).max()))
            yield self._action(kitchen, velocities.clip(-1, 1), open=target.open)

    @staticmethod
    def _aside(kitchen: FrankaKitchen, start: float) -> float:
        """Return how far to the side a push of the kettle goes on, in meters: after it, and to turn it back."""
        simulator = kitchen.simulator
        real, turn = simulator.positions[26], simulator.positions[29]
        goal_real, goal_turn = (TASKS["kettle"].goal[place] for place in (3, 6))
        turned = 2 * float(np.arctan2(turn, real) - np.arctan2(goal_turn, goal_real))
        moved = float(simulator.data.site(SITES["kettle"]).xpos[0]) - start
        return float(np.clip(moved - STEERING * turned, -MOST_ASIDE, MOST_ASIDE))

    def _towards(
        self, kitchen: FrankaKitchen, joints: Float[np.ndarray, "7"], *, open: bool, speed: float = 1.0
    ) -> Float[np.ndarray, "9"]:
        """Return the action towards joint positions, on a straight line in the space of the joints."""
        error = (joints - kitchen.simulator.positions[:JOINTS]) / REACH
        return self._action(kitchen, error * min(1.0, speed / max(float(np.abs(error).max()), 1e-9)), open=open)

    @staticmethod
    def _action(kitchen: FrankaKitchen, velocities: Float[np.ndarray, "7"], *, open: bool) -> Float[np.ndarray, "9"]:
        fingers = np.ones(2) if open else -np.ones(2)
        return np.concatenate([(velocities + kitchen.simulator.hold()).clip(-1, 1), fingers])

    @staticmethod
    def _well_done(kitchen: FrankaKitchen, task: str) -> bool:
        return TASKS[task].distance(kitchen.simulator.positions) < WELL_DONE

    def _jittered(self, joints: Float[np.ndarray, "7"], share: float = 1.0) -> Float[np.ndarray, "7"]:
        return joints + share * self._variation.jitter * self._random.normal(size=JOINTS)
