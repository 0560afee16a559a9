"""A copy of gym-pusht's physics that can be set to any state and stepped fast, for planning.

gym-pusht's own functions build the space, so it is the same. It is stepped through pymunk's C interface, without the
Python collision callback that takes most of gym-pusht's time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

STIFFNESS, DAMPING = 100.0, 20.0
"""Spring that pulls the agent to its target."""
SUBSTEP = 0.01
"""Duration of one physics step, in seconds."""
SUBSTEPS = 10
"""Physics steps per timestep."""
_FAR = (5000.0, 5000.0)
_PERSISTENCE = 4


class Simulation:
    """One agent and one T on the board, which can be set to any state.

    Args:
        walls: whether the board has walls. Without walls, the outcome of a push does not depend on where the T lies.
    """

    def __init__(self, *, walls: bool = True) -> None:
        import pymunk
        from gym_pusht.envs.pusht import PushTEnv
        from pymunk._chipmunk_cffi import lib

        self._lib: Any = lib
        space = pymunk.Space()
        space.gravity = 0, 0
        space.damping = 0.0
        if walls:
            corners = (5, 506), (5, 5), (506, 5), (506, 506)
            sides = [(0, 1), (1, 2), (2, 3), (0, 3)]
            space.add(*(PushTEnv.add_segment(space, corners[a], corners[b], 2) for a, b in sides))
        agent = PushTEnv.add_circle(space, (256, 400), 15)
        block, _ = PushTEnv.add_tee(space, (256, 300), 0)
        self._owners = space, agent, block  # keep the C objects alive
        self._space, self._agent, self._block = space._space, agent._body, block._body
        self._x = self._y = self._vx = self._vy = 0.0

    def set_state(self, state: Float[np.ndarray, "5"], velocity: tuple[float, float] = (0.0, 0.0)) -> None:
        """Set agent x and y, T x and y, T angle, and the agent's velocity in pixels/s."""
        lib, block, agent = self._lib, self._block, self._agent
        lib.cpBodySetPosition(block, _FAR)
        lib.cpBodySetVelocity(agent, (0.0, 0.0))
        for _ in range(_PERSISTENCE):  # until the space has dropped the contacts of the last state
            lib.cpSpaceStep(self._space, SUBSTEP)
        self._x, self._y, x, y, angle = (float(value) for value in state)
        self._vx, self._vy = velocity
        lib.cpBodySetPosition(agent, (self._x, self._y))
        lib.cpBodySetAngle(block, angle)  # must precede the position, see PushT.set_state
        lib.cpBodySetPosition(block, (x, y))
        lib.cpBodySetVelocity(block, (0.0, 0.0))
        lib.cpBodySetAngularVelocity(block, 0.0)

    def step(self, x: float, y: float) -> None:
        """Pull the agent towards (x, y) for one timestep, as `PushT.step` does."""
        for _ in range(SUBSTEPS):
            self._accelerate(x, y)

    def step_with_trace(self, x: float, y: float) -> Float[np.ndarray, "10 5"]:
        """Advance one timestep like `step`, and return the state after each physics step."""
        states = np.empty((SUBSTEPS, 5))
        for index in range(SUBSTEPS):
            self._accelerate(x, y)
            states[index] = *self.agent, *self.block
        return states

    def slide(self, vx: float, vy: float, steps: Sequence[int] | Int[np.ndarray, " K"]) -> Float[np.ndarray, "K 3"]:
        """Move the agent at a constant velocity in pixels/s, and return the pose of the T after some physics steps.

        Args:
            vx: velocity in x.
            vy: velocity in y.
            steps: numbers of physics steps after which the pose is read, increasing.
        """
        step, space = self._lib.cpSpaceStep, self._space
        self._lib.cpBodySetVelocity(self._agent, (vx, vy))
        poses, done = np.empty((len(steps), 3)), 0
        for index, until in enumerate(steps):
            for _ in range(done, until):
                step(space, SUBSTEP)
            done = until
            poses[index] = self.block
        return poses

    @property
    def agent(self) -> tuple[float, float]:
        """Position of the agent, in pixels."""
        return self._x, self._y

    @property
    def block(self) -> tuple[float, float, float]:
        """Pose of the T."""
        position = self._lib.cpBodyGetPosition(self._block)
        return position.x, position.y, self._lib.cpBodyGetAngle(self._block)

    def _accelerate(self, x: float, y: float) -> None:
        """Advance one physics step with the spring pulling to (x, y)."""
        lib = self._lib
        self._vx += (STIFFNESS * (x - self._x) - DAMPING * self._vx) * SUBSTEP
        self._vy += (STIFFNESS * (y - self._y) - DAMPING * self._vy) * SUBSTEP
        lib.cpBodySetVelocity(self._agent, (self._vx, self._vy))
        lib.cpSpaceStep(self._space, SUBSTEP)
        self._x += self._vx * SUBSTEP
        self._y += self._vy * SUBSTEP
