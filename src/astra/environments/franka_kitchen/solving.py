"""Compute the expert's waypoints: `python -m astra.environments.franka_kitchen.solving` writes `waypoints.json`.

Each task is described by a few numbers relative to its handle, knob or switch. They were found by random search for
few timesteps and for success under noise. From them come poses of the gripper, and from these joints of the arm: each
pose is solved near the one before, and for both ways round of the gripper, of which the one with less error is taken.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from astra.environments.franka_kitchen.expert import SITES
from astra.environments.franka_kitchen.kinematics import Kinematics, Pose
from astra.environments.franka_kitchen.simulator import Simulator
from astra.environments.franka_kitchen.waypoints import FILE, HOME, Kind

Step = tuple[Kind, Pose, bool]
"""Kind of a waypoint, pose of the gripper relative to the anchor, and whether the fingers are open."""
HINGES = {"microwave": "microdoorroot", "hinge cabinet": "hingerightdoor"}
"""Body of the model about whose vertical axis a door turns."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """Press a knob, a switch, a sliding door or the kettle along a line; all lengths in meters."""

    pose: Pose
    """Pose at which the push begins, relative to the anchor."""
    back: Float[np.ndarray, "3"]
    """Displacement from there to the first waypoint."""
    line: Float[np.ndarray, "n 3"]
    """Places of the tip during the push, relative to the anchor."""
    away: Float[np.ndarray, "3"]
    """Where the tip goes afterwards."""
    lead: int
    gain: float
    open: bool = False
    grip: int = 0
    straight: bool = False

    def steps(self, hinge: Float[np.ndarray, "3"]) -> Iterator[Step]:
        """Yield the waypoints."""
        del hinge
        yield "move", replace(self.pose, tip=_tip(np.array(self.pose.tip) + self.back)), self.open
        yield "move", self.pose, self.open
        for tip in self.line:
            yield "push", replace(self.pose, tip=_tip(tip)), self.open
        yield "leave", replace(self.pose, tip=_tip(self.away)), self.open


@dataclass(frozen=True, kw_only=True)
class Pull:
    """Close the fingers around a door's handle and pull it along its arc."""

    pose: Pose
    """Pose at which the handle is gripped, relative to the anchor."""
    back: float
    """Distance of the first and of the last waypoint from the handle, in meters."""
    angles: Float[np.ndarray, " n"]
    """Angles of the door, in radians."""
    turn: float
    """Share of the door's angle by which the gripper turns with it."""
    grip: int
    lead: int = 0
    gain: float = 0.0
    straight: bool = False

    def steps(self, hinge: Float[np.ndarray, "3"]) -> Iterator[Step]:
        """Yield the waypoints; the hinge's place is relative to the anchor."""
        held = np.array(self.pose.tip)
        behind = -self.back * _ahead(self.pose.yaw)
        yield "move", replace(self.pose, tip=_tip(held + behind)), True
        yield "move", self.pose, True
        yield "grip", self.pose, False
        pose = self.pose
        for angle in self.angles.tolist():
            place = hinge + _turned(-hinge, angle) + _turned(held, self.turn * angle)
            yaw = self.pose.yaw + self.turn * float(np.degrees(angle))
            pose = replace(self.pose, tip=_tip(place), yaw=yaw)
            yield "pull", pose, False
        yield "leave", replace(pose, tip=_tip(np.array(pose.tip) - 0.12 * _ahead(pose.yaw))), True


def knob(side: int, radius: float, offset: float, last: float, depth: float) -> Float[np.ndarray, "12 3"]:
    """Return the tip's way while it turns a knob by one of its ends.

    Args:
        side: 1 for the upper end, to the right; -1 for the lower end, to the left.
        radius: Distance of the touched point from the axis.
        offset: Distance of the tip from that point: half the fingers and half the knob.
        last: Last angle of the knob.
        depth: How deep the tip is behind the knob's middle.
    """
    angles = np.linspace(-0.25, last, 12)
    along = radius * np.sin(angles) - offset * np.cos(angles)
    up = radius * np.cos(angles) + offset * np.sin(angles)
    return np.stack([side * along, np.full(12, depth), side * up], axis=1)


def even(start: tuple[float, float, float], end: tuple[float, float, float], number: int) -> np.ndarray:
    """Return evenly spaced places on a straight line, (number, 3)."""
    return np.linspace(start, end, number)


PATHS: dict[str, Push | Pull] = {
    "kettle": Push(
        pose=Pose(tip=(0.0, -0.2, -0.2), elevation=-45.0),
        back=np.array([0.0, -0.04, 0.1]),
        line=even((0.0, -0.18, -0.2), (0.0, 0.2, -0.2), 11),
        away=np.array([0.0, -0.12, -0.07]),
        lead=2,
        gain=3.0,
        straight=True,
    ),
    "microwave": Pull(
        pose=Pose(tip=(-0.0059, 0.0061, 0.03), yaw=44.11, elevation=-21.85, roll=-0.41),
        back=0.1086,
        angles=np.array([-0.2, -0.4, -0.6, -0.8]),
        turn=0.2,
        grip=3,
    ),
    "top burner": Push(
        pose=Pose(tip=(-0.0626, -0.019, 0.0365), yaw=-2.0, elevation=8.45),
        back=np.array([-0.007, -0.0724, 0.0]),
        line=knob(side=1, radius=0.0464, offset=0.0342, last=1.42, depth=-0.019),
        away=np.array([0.0015, -0.11, 0.0576]),
        lead=7,
        gain=8.81,
    ),
    "bottom burner": Push(
        pose=Pose(tip=(0.0823, 0.0113, -0.0403), yaw=9.65, elevation=-38.14),
        back=np.array([0.01, -0.0813, 0.0]),
        line=even((0.0673, 0.0113, -0.0403), (-0.0643, 0.0113, -0.0505), 2),
        away=np.array([-0.0193, -0.11, -0.0403]),
        lead=1,
        gain=4.26,
        straight=True,
    ),
    "light switch": Push(
        pose=Pose(tip=(0.0662, -0.013, -0.0157), yaw=-6.64, elevation=10.93),
        back=np.array([0.0, -0.0471, 0.0]),
        line=even((0.04, -0.013, -0.0157), (-0.09, -0.013, -0.0157), 8),
        away=np.array([0.0, -0.12, -0.0157]),
        lead=5,
        gain=4.21,
    ),
    "slide cabinet": Push(
        pose=Pose(tip=(-0.07, 0.02, -0.08), elevation=10.0),
        back=np.array([0.0, -0.14, 0.0]),
        line=even((-0.04, 0.02, -0.08), (0.2, 0.02, -0.08), 8),
        away=np.array([0.1, -0.15, -0.08]),
        lead=5,
        gain=3.0,
    ),
    "hinge cabinet": Pull(
        pose=Pose(tip=(0.0, 0.0, -0.04), yaw=8.0, elevation=19.0),
        back=0.12,
        angles=np.array([0.22, 0.44, 0.66, 0.9, 1.15, 1.4, 1.55]),
        turn=0.0,
        grip=4,
    ),
}
"""The way of each task."""


def solve() -> dict[str, Any]:
    """Return the routine of each task as JSON."""
    simulator = Simulator()
    simulator.reset(0)
    kinematics = Kinematics(simulator)
    stored = {}
    for task, path in PATHS.items():
        anchor = np.array(simulator.data.site(SITES[task]).xpos)
        hinge = np.zeros(3)
        if task in HINGES:
            hinge = (np.array(simulator.data.body(HINGES[task]).xpos) - anchor) * [1, 1, 0]
        steps: list[Step] = [
            (kind, replace(pose, tip=_tip(anchor + pose.tip)), is_open) for kind, pose, is_open in path.steps(hinge)
        ]
        error, joints = min(
            (_joints(kinematics, steps, round_by) for round_by in (0.0, 180.0)), key=lambda found: found[0]
        )
        print(f"{task}: {len(steps)} waypoints, error {error:.2f}")
        stored[task] = {
            "anchor": anchor.round(4).tolist(),
            "lead": path.lead,
            "gain": path.gain,
            "grip": path.grip,
            "straight": path.straight,
            "waypoints": [
                {
                    "kind": kind,
                    "open": is_open,
                    "joints": values.round(4).tolist(),
                    "tip": kinematics.tip(values.round(4)).round(4).tolist(),
                }
                for (kind, _, is_open), values in zip(steps, joints, strict=True)
            ],
        }
    simulator.close()
    return stored


def _joints(kinematics: Kinematics, steps: list[Step], round_by: float) -> tuple[float, list[np.ndarray]]:
    """Return the joints of each waypoint and the sum of their errors; missing the place costs most."""
    total, near, found = 0.0, HOME, []
    for _, pose, _ in steps:
        error, near = kinematics.solve(replace(pose, roll=pose.roll + round_by), near)
        missed = float(np.linalg.norm(kinematics.tip(near) - pose.tip))
        total += error + 300 * max(missed - 0.01, 0.0)
        found.append(near)
    return total, found


def _tip(place: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    x, y, z = place.tolist()
    return x, y, z


def _ahead(yaw: float) -> Float[np.ndarray, "3"]:
    return np.array([-np.sin(np.radians(yaw)), np.cos(np.radians(yaw)), 0.0])


def _turned(place: Float[np.ndarray, "3"], angle: float) -> Float[np.ndarray, "3"]:
    x, y, z = place
    return np.array([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z])


def write(stored: dict[str, Any]) -> None:
    """Write the file, one number per line."""
    lines = json.dumps(stored, indent=1)
    FILE.write_text(lines + "\n")


if __name__ == "__main__":
    write(solve())
