import math

import numpy as np
import pytest

from astra.environments.tabletop.drawing import (
    FORESHORTENING,
    NO_OBJECT,
    PIXELS_PER_METER,
    SIDE_BRIGHTNESS,
    TABLE,
    downsample,
    draw,
    pixel,
)
from astra.environments.tabletop.levels import SEEN_OBJECTS
from astra.environments.tabletop.shapes import SHAPES
from astra.environments.tabletop.table_object import TableObject
from astra.environments.tabletop.textures import COLD_TEXTURES, COLORS, WARM_TEXTURES, has_dark_variant, texture


def make_object(shape: str, x: float = 0.5, y: float = 0.0, **more: float) -> TableObject:
    return TableObject(shape=SHAPES[shape], texture="red", x=x, y=y, **more)  # pyright: ignore[reportArgumentType]


def extent(segmentation: np.ndarray, index: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(segmentation == index)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_from_above_an_object_has_its_size_and_place() -> None:
    frame, segmentation = draw([make_object("block", 0.4, 0.25)], "top")
    top, bottom, left, right = extent(segmentation, 0)
    row, column = pixel(0.4, 0.25, 0.0, "top")
    side = 0.07 * PIXELS_PER_METER
    assert [top, bottom, left, right] == pytest.approx(
        [row - side / 2, row + side / 2, column - side / 2, column + side / 2], abs=1
    )
    assert (frame[segmentation == 0] == COLORS["red"]).all()
    assert (frame[segmentation == NO_OBJECT] == TABLE).all()


def test_from_the_front_depth_is_shorter_and_height_shows_a_darker_side() -> None:
    frame, segmentation = draw([make_object("block")], "front")
    top, bottom, left, right = extent(segmentation, 0)
    side = 0.07 * PIXELS_PER_METER
    assert right - left == pytest.approx(side, abs=1)
    assert bottom - top == pytest.approx(2 * side * FORESHORTENING, abs=1.5)  # its depth and its height
    column = frame[top:bottom, (left + right) // 2, 0].astype(float)
    assert column[1] == COLORS["red"][0]
    assert column[-2] == pytest.approx(SIDE_BRIGHTNESS * COLORS["red"][0], abs=1)


def test_downsample_averages_squares_of_two_by_two_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8)
    means = frame.reshape(64, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.array_equal(downsample(frame), np.floor(means + 0.5))
    assert (downsample(np.full((128, 256, 3), 255, np.uint8)) == 255).all()


def test_height_is_visible_only_from_the_front() -> None:
    short, tall = make_object("round", height=0.01), make_object("round", height=0.08)
    assert np.array_equal(draw([short], "top")[0], draw([tall], "top")[0])
    assert not np.array_equal(draw([short], "front")[0], draw([tall], "front")[0])


@pytest.mark.parametrize("name", SEEN_OBJECTS)
def test_a_shape_is_unchanged_by_its_symmetry_but_not_by_half_of_it(name: str) -> None:
    def mask(angle: float) -> np.ndarray:
        return draw([make_object(name, angle=angle)], "top")[1] == 0

    symmetry = SHAPES[name].symmetry
    whole = mask(0.2).sum()
    same = (mask(0.2) ^ mask(0.2 + (symmetry or 1.0))).sum() / whole
    assert same < 0.1
    if symmetry:
        assert (mask(0.2) ^ mask(0.2 + symmetry / 2)).sum() / whole > same + 0.05


def test_a_positive_angle_turns_counterclockwise_as_seen_from_above() -> None:
    def tip(angle: float) -> np.ndarray:
        segmentation = draw([make_object("letter T", angle=angle)], "top")[1]
        row, column = pixel(0.5, 0.0, 0.0, "top")
        places = np.argwhere(segmentation == 0) + 0.5 - (row, column)
        return places.mean(axis=0)  # the bar of a T is heavier than the foot of its stem

    row, column = tip(0.0)
    assert row < -2
    assert abs(column) < 1
    row, column = tip(math.pi / 2)
    assert column < -2
    assert abs(row) < 1


def test_near_objects_hide_far_ones_and_upper_ones_hide_lower_ones() -> None:
    far, near = make_object("block", 0.45), make_object("block", 0.54)
    alone = (draw([far], "front")[1] == 0).sum()
    for objects in ([far, near], [near, far]):
        segmentation = draw(objects, "front")[1]
        index = objects.index(far)
        assert (segmentation == index).sum() < alone
    below, above = make_object("round"), make_object("block")
    above.support, above.z = 0, below.height
    segmentation = draw([below, above], "top")[1]
    assert segmentation[int(pixel(0.5, 0, 0, "top")[0]), int(pixel(0.5, 0, 0, "top")[1])] == 1


def test_a_frame_is_hollow_and_a_bowl_is_not() -> None:
    row, column = (int(value) for value in pixel(0.5, 0.0, 0.0, "top"))
    assert draw([make_object("frame")], "top")[1][row, column] == NO_OBJECT
    assert draw([make_object("bowl")], "top")[1][row, column] == 0


def test_objects_are_clipped_at_the_edge_and_not_drawn_outside() -> None:
    frame, segmentation = draw([make_object("round", 0.25, -0.53), make_object("round", 2.0, 0.0)], "top")
    assert 0 < (segmentation == 0).sum() < (draw([make_object("round")], "top")[1] == 0).sum()
    assert not (segmentation == 1).any()
    assert frame.shape == (128, 256, 3)


def test_textures_differ_from_each_other_and_from_the_table() -> None:
    names = [*WARM_TEXTURES, *COLD_TEXTURES]
    names += [f"dark {name}" for name in names if has_dark_variant(name)]
    pictures = [texture(name).astype(float) for name in names]
    for index, one in enumerate(pictures):
        assert np.abs(one - TABLE).mean() > 8, names[index]
        for other in range(index):
            assert np.abs(one - pictures[other]).mean() > 4, (names[index], names[other])
    assert not set(WARM_TEXTURES) & set(COLD_TEXTURES)


def test_dark_textures_are_darker() -> None:
    assert texture("dark red and blue polka dot").mean() < texture("red and blue polka dot").mean() - 30


def test_an_unknown_texture_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no texture 'plaid'; known are red, green"):
        texture("plaid")
