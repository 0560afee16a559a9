import math

import numpy as np
import pytest

from astra.environments.tabletop.scene import CUP_RADIUS, STOP_SHORT, Scene
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject, distance_to


def make_object(shape: str, x: float, y: float, angle: float = 0.0) -> TableObject:
    fixed = shape in ("bowl", "container", "frame")
    return TableObject(shape=SHAPES[shape], texture="red", x=x, y=y, angle=angle, fixed=fixed)


def test_pick_and_place_moves_and_turns_an_object() -> None:
    scene = Scene([make_object("heart", 0.4, -0.2, 0.3)])
    assert scene.pick_and_place((0.41, -0.19), (0.61, 0.31), -math.pi / 2) == 0
    moved = scene.objects[0]
    # An object held a centimeter off its center turns about the point of suction.
    assert (moved.x, moved.y) == pytest.approx((0.61 - 0.01, 0.31 + 0.01))
    assert moved.angle == pytest.approx(0.3 - math.pi / 2)


def test_suction_misses_beside_an_object_and_in_its_hole() -> None:
    scene = Scene([make_object("ring", 0.5, 0.0), make_object("bowl", 0.5, 0.3)])
    assert scene.grasped_at(0.5, 0.0) is None
    assert scene.grasped_at(0.5, 0.05) == 0
    assert scene.grasped_at(0.5, 0.064 + CUP_RADIUS + 0.003) is None
    assert scene.grasped_at(0.5, 0.3) is None  # containers do not move


def test_distance_is_measured_to_the_outline() -> None:
    block = make_object("block", 0.5, 0.0, math.pi / 2)
    assert distance_to(block, 0.51, -0.02) == 0
    assert distance_to(block, 0.5, 0.085) == pytest.approx(0.05, abs=0.001)
    assert distance_to(block, 0.5 + 0.035 + 0.03, 0.035 + 0.04) == pytest.approx(0.05, abs=0.001)


def test_objects_in_a_container_stack() -> None:
    scene = Scene([make_object("container", 0.5, 0.0), make_object("round", 0.4, 0.3), make_object("round", 0.6, 0.3)])
    scene.pick_and_place((0.4, 0.3), (0.5, 0.0), 0.0)
    scene.pick_and_place((0.6, 0.3), (0.5, 0.01), 0.0)
    first, second = scene.objects[1], scene.objects[2]
    assert first.support == 0
    assert second.support == 1
    assert first.z < first.z + first.height == pytest.approx(second.z)
    assert scene.grasped_at(0.5, 0.0) == 2
    scene.pick_and_place((0.5, 0.0), (0.6, -0.3), 0.0)
    assert scene.grasped_at(0.5, 0.0) == 1


def test_rings_stack_although_their_centers_are_hollow() -> None:
    scene = Scene([make_object("ring", 0.5, 0.0), make_object("ring", 0.5, 0.25)])
    scene.pick_and_place((0.5, 0.30), (0.5, 0.05), 0.0)
    assert scene.objects[1].support == 0
    assert (scene.objects[1].x, scene.objects[1].y) == pytest.approx((0.5, 0.0))


def test_an_object_comes_down_if_its_support_is_taken_away() -> None:
    scene = Scene([make_object("round", 0.5, 0.0), make_object("block", 0.5, 0.0)])
    scene.drop(1)
    assert scene.objects[1].z == pytest.approx(SHAPES["round"].height)
    scene.pick_and_place((0.5, 0.055), (0.5, 0.355), 0.0)
    assert scene.objects[0].y == pytest.approx(0.3)
    assert scene.objects[1].support is None
    assert scene.objects[1].z == 0


def test_an_object_placed_half_onto_another_slides_off_beside_it() -> None:
    scene = Scene([make_object("block", 0.5, 0.0), make_object("block", 0.5, 0.3)])
    scene.pick_and_place((0.5, 0.3), (0.5, 0.05), 0.0)
    one, two = scene.objects
    assert two.support is None
    assert math.dist((one.x, one.y), (two.x, two.y)) > 0.068


def test_a_sweep_moves_only_the_objects_in_its_way_and_to_its_end() -> None:
    scene = Scene(
        [make_object("small block", 0.6, 0.0), make_object("small block", 0.6, 0.1), make_object("frame", 0.45, 0.0)]
    )
    watched: list[float] = []
    scene.sweep((0.6, 0.0), (0.45, 0.0), lambda objects: watched.append(objects[0].x))
    assert scene.objects[0].x == pytest.approx(0.45, abs=STOP_SHORT / 2)
    assert scene.objects[0].y == pytest.approx(0.0, abs=0.01)
    assert (scene.objects[1].x, scene.objects[1].y) == (0.6, 0.1)
    assert (scene.objects[2].x, scene.objects[2].y) == (0.45, 0.0)
    assert np.abs(np.diff(watched)).max() < 0.02


def test_a_sweep_pushes_one_block_with_another() -> None:
    scene = Scene([make_object("small block", 0.65, 0.0), make_object("small block", 0.58, 0.0)])
    scene.sweep((0.65, 0.0), (0.5, 0.0))
    assert scene.objects[1].x < 0.49
    assert scene.objects[0].x - scene.objects[1].x > 0.028


def test_the_outcome_of_a_sweep_depends_only_on_the_scene() -> None:
    def outcome(scene: Scene) -> list[float]:
        scene.sweep((0.65, 0.01), (0.5, 0.05))
        return [value for one in scene.objects for value in (one.x, one.y, one.angle)]

    start = [make_object("small block", 0.65, 0.0, 0.4), make_object("small block", 0.6, 0.02, 1.0)]
    fresh, used = Scene(start).copy(), Scene(start).copy()
    used.sweep((0.65, 0.0), (0.6, 0.3))
    used = Scene(start).copy()
    assert outcome(fresh) == outcome(used)
