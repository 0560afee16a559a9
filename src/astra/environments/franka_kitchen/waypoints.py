"""The expert's waypoints: joint positions that were computed once, by `python -m` of the module `solving`.

`waypoints.json` holds one routine per task. A routine starts and ends at the home pose, from which every task can be
reached, and is a list of waypoints of five kinds:

    move    go there, all joints on a straight line
    grip    close the fingers around a handle
    pull    go there with closed fingers, until the task is done
    push    press on along a dense line of waypoints, until the task is done
    leave   go away from the object
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

Kind = Literal["move", "grip", "pull", "push", "leave"]
FILE = Path(__file__).with_name("waypoints.json")
"""Where the waypoints are stored."""
HOME = np.array([-0.66, -1.31, 1.43, -2.90, 0.26, 2.03, 1.06])
"""Joints at home: the gripper is in front of the knobs and points straight into the kitchen."""


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """One waypoint of a routine."""

    kind: Kind
    """Role of the waypoint, see above."""
    joints: Float[np.ndarray, "7"]
    """Joint positions in radians."""
    tip: Float[np.ndarray, "3"]
    """Point between the fingertips, in meters."""
    open: bool
    """Whether the fingers are open."""


@dataclass(frozen=True, kw_only=True)
class Routine:
    """Everything that the expert does for one task."""

    anchor: Float[np.ndarray, "3"]
    """Where the handle, knob or switch was for which the waypoints were computed, in meters."""
    waypoints: tuple[Waypoint, ...]
    """Waypoints in their order; those of the kind push follow each other."""
    lead: int
    """Number of waypoints ahead of the tip at which a push aims."""
    gain: float
    """Factor on the errors of the joints in a push; the larger it is, the harder it presses."""
    grip: int
    """Timesteps for closing the fingers."""
    straight: bool
    """Whether a push that is too fast slows all joints down together, which keeps its direction; otherwise each joint
    alone, which presses harder."""


@cache
def routines() -> dict[str, Routine]:
    """Return the routine of each task by its name."""
    stored: dict[str, Any] = json.loads(FILE.read_text())
    return {
        task: Routine(
            anchor=np.array(routine["anchor"]),
            waypoints=tuple(
                Waypoint(
                    kind=point["kind"],
                    joints=np.array(point["joints"]),
                    tip=np.array(point["tip"]),
                    open=point["open"],
                )
                for point in routine["waypoints"]
            ),
            lead=routine["lead"],
            gain=routine["gain"],
            grip=routine["grip"],
            straight=routine["straight"],
        )
        for task, routine in stored.items()
    }
