"""CALVIN's frames against what calvin_env's own cameras draw, and its physics, where the simulator is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from astra.environments.calvin import simulator as module
from astra.environments.calvin.clones import find_clones
from astra.environments.calvin.drawing.coarse_robot import LEAST, coarse_obj, coarse_robot
from astra.environments.calvin.environment import CAMERAS
from astra.environments.calvin.simulator import Simulator
from astra.environments.calvin.starts import protocol_start
from astra.environments.calvin.tasks import initial_worlds
from tests.environments.calvin.test_environment import reason_to_skip
from tests.environments.test_coarse_mesh import sheet

SKIPPED = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())
NAMES = tuple(CAMERAS.values())
TOWARDS_TABLE = np.array([0, 0.3, -0.6, 0, 0, 0])
Pictures = dict[tuple[str, int], np.ndarray]


def with_simulator(test: Callable[..., None]) -> Callable[..., None]:
    marked: Callable[..., None] = pytest.mark.simulator(SKIPPED(test))
    return marked


@contextmanager
def opened(scene: str) -> Iterator[Simulator]:
    made = Simulator(find_clones(), scene)
    try:
        yield made
    finally:
        made.close()


def play(simulator: Simulator, seed: int, look: Callable[[], object] = lambda: None) -> list[np.ndarray]:
    """Start in one of the protocol's states, move at random towards the table, and return all states on the way."""
    random, worlds = np.random.default_rng(seed), initial_worlds()
    simulator.reset(protocol_start(worlds[seed % len(worlds)]))
    passed = []
    for timestep in range(40):
        action = [*random.uniform(-1, 1, 6) + TOWARDS_TABLE, 1 if timestep < 25 else -1]
        simulator.step(np.clip(action, -1, 1))
        passed.append(simulator.proprioception)
        passed += [np.concatenate([body.position, body.velocity]) for body in simulator.snapshot().blocks.values()]
        if timestep % 10 == 0:
            look()
    return passed


def pictures(simulator: Simulator, sides: tuple[int, ...] = (64, 200)) -> Pictures:
    return {(name, side): simulator.render(name, side) for name in NAMES for side in sides}


def drawn_at_once(simulator: Simulator) -> Pictures:
    """Return the same pictures as calvin_env's cameras draw them, every link in every picture."""
    cameras = simulator._cameras
    return {(name, side): cameras._camera(name, side).render()[0].copy() for name in NAMES for side in (64, 200)}


def toggle_lights(simulator: Simulator) -> None:
    for light in simulator.scene.lights:
        (light.turn_off if light.get_state() else light.turn_on)()


@with_simulator
@pytest.mark.parametrize("scene", [pytest.param("A", marks=pytest.mark.slow), "D"])
def test_frames_are_what_calvins_own_cameras_draw_whatever_was_drawn_before(scene: str) -> None:
    with opened(scene) as simulator:
        for seed in (0, 1):
            play(simulator, seed)
            for _ in range(2):
                toggle_lights(simulator)
                expected = drawn_at_once(simulator)
                for (name, side), seen in pictures(simulator).items():
                    apart = int((seen != expected[name, side]).any(axis=2).sum())
                    assert apart <= (0 if name == "gripper" else side**2 / 4000), (seed, name, side, apart)


@with_simulator
def test_equal_states_give_equal_frames_and_other_lights_others() -> None:
    with opened("D") as simulator:
        play(simulator, 0)
        first = pictures(simulator, (64,))
        toggle_lights(simulator)
        assert not np.array_equal(pictures(simulator, (64,))["static", 64], first["static", 64])
        play(simulator, 1, lambda: pictures(simulator, (64,)))
        play(simulator, 0)
        again = pictures(simulator, (64,))
    assert all(np.array_equal(first[key], again[key]) for key in first)


@with_simulator
def test_the_coarse_robot_looks_nearly_like_the_full_one_and_moves_bit_for_bit_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with opened("D") as simulator:
        path = play(simulator, 0, lambda: pictures(simulator, (64,)))
        coarse = pictures(simulator)
    monkeypatch.setattr(module, "coarse_robot", lambda urdf: urdf)
    with opened("D") as simulator:
        same = play(simulator, 0)
        full = drawn_at_once(simulator)
    assert all(np.array_equal(one, other) for one, other in zip(path, same, strict=True))
    apart = {key: (np.abs(coarse[key].astype(int) - full[key]).max(axis=2) > 20).mean() for key in full}
    assert all(0 < apart["static", side] < 0.015 and apart["gripper", side] < 0.005 for side in (64, 200)), apart


@with_simulator
def test_the_coarse_robot_differs_only_in_what_is_drawn_and_no_file_of_the_clone_changes() -> None:
    folder = find_clones().environment / "data/franka_panda"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    copied = coarse_robot.__wrapped__(folder / "panda_longer_finger.urdf")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    robots = [ElementTree.parse(path).getroot() for path in (folder / "panda_longer_finger.urdf", copied)]
    meshes: list[list[Path]] = []
    for robot in robots:
        drawn = robot.findall("link/visual/geometry/mesh")
        meshes.append([folder / mesh.attrib.pop("filename").removeprefix("package://") for mesh in drawn])
        for mesh in robot.iter("mesh"):
            if name := mesh.attrib.get("filename"):
                mesh.set("filename", str(folder / name.removeprefix("package://")))
    assert ElementTree.canonicalize(ElementTree.tostring(robots[0])) == ElementTree.canonicalize(
        ElementTree.tostring(robots[1])
    )
    triangles = [path.read_text().count("\nf ") for path in meshes[1]]
    assert sum(triangles) < 25_000
    assert all(count > 100 for count in triangles), "a mesh is empty"


def test_parts_of_a_mesh_stay_apart_and_corners_keep_their_texture_and_normals() -> None:
    pytest.importorskip("scipy")
    vertices, triangles = sheet(40, 0.1)
    above = vertices + np.array([0, 0, 0.001])
    assert len(triangles) >= LEAST
    lines = ["mtllib one.mtl", *(f"v {x} {y} {z}" for x, y, z in np.concatenate([vertices, above]) + 0.0001)]
    lines += [
        "f " + " ".join(f"{vertex + 1}/{number}/{part}" for vertex in triangle)
        for part, first in ((7, 0), (8, len(vertices)))
        for number, triangle in enumerate((triangles + first).tolist(), start=1)
    ]
    coarse = coarse_obj("\n".join(lines) + "\n").splitlines()
    assert coarse[0] == lines[0]
    faces = [[corner.split("/") for corner in line.split()[1:]] for line in coarse if line.startswith("f ")]
    assert 0 < len(faces) < len(triangles) / 5
    for part, low, high in (("7", 1, len(vertices)), ("8", len(vertices) + 1, 2 * len(vertices))):
        own = [face for face in faces if face[0][2] == part]
        assert len(own) > 100
        assert all(low <= int(vertex) <= high and normal == part for face in own for vertex, _, normal in face)
        assert all(len({texture for _, texture, _ in face}) == 1 for face in own)


def test_a_mesh_with_few_triangles_is_left_alone() -> None:
    assert coarse_obj("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n") == ""
