import numpy as np
import pytest

from astra.environments.object_views import object_views, square_crop


def hand_made() -> tuple[np.ndarray, np.ndarray]:
    """A frame of 20 x 40 pixels with a rectangle (7), a single pixel (3) and half of a hidden square (9)."""
    frame = np.full((20, 40, 3), 200, dtype=np.uint8)
    segmentation = np.full((20, 40), -1, dtype=np.int8)
    frame[4:12, 10:14] = (255, 0, 0)
    segmentation[4:12, 10:14] = 7
    segmentation[0, 39] = 3
    frame[15:20, 30:32] = (0, 0, 255)
    segmentation[15:20, 30:32] = 9
    return frame, segmentation


def test_boxes_are_the_extents_of_the_masks() -> None:
    seen = object_views(*hand_made(), ids=[9, 7], rows=3)
    assert seen["boxes"].tolist() == [[31.0, 17.5, 5.0, 2.0], [12.0, 8.0, 8.0, 4.0], [0.0, 0.0, 0.0, 0.0]]
    assert seen["valid"].tolist() == [True, True, False]
    assert {name: (values.shape, str(values.dtype)) for name, values in seen.items()} == {
        "crops": ((3, 32, 32, 3), "uint8"),
        "boxes": ((3, 4), "float32"),
        "valid": ((3,), "bool"),
    }


def test_crops_are_padded_to_a_square_with_zeros() -> None:
    crop = object_views(*hand_made(), ids=[7], rows=1)["crops"][0]
    assert (crop[:, 8:24] == (255, 0, 0)).all()  # 4 of 8 columns, centered, each 4 pixels wide
    assert not crop[:, :8].any()
    assert not crop[:, 24:].any()


def test_hidden_absent_and_one_pixel_objects_are_not_valid() -> None:
    seen = object_views(*hand_made(), ids=[3, 5, 7], rows=4)
    assert seen["valid"].tolist() == [False, False, True, False]
    assert not seen["crops"][[0, 1, 3]].any()
    assert not seen["boxes"][[0, 1, 3]].any()


def test_a_crop_keeps_the_background_inside_the_box() -> None:
    frame, segmentation = hand_made()
    segmentation[4:12, 11] = -1
    crop = object_views(frame, segmentation, ids=[7], rows=1)["crops"][0]
    assert (crop[:, 8:24] == (255, 0, 0)).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 20), (7, 5), (33, 32), (1, 2)])
def test_resizing_averages_areas(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = max(height, width)
    square = np.zeros((side, side, 3))
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    fine = square.repeat(32, axis=0).repeat(32, axis=1)  # every pixel of both grids is a whole number of these
    expected = fine.reshape(32, side, 32, side, 3).mean(axis=(1, 3))
    assert np.abs(square_crop(picture) - expected).max() <= 0.51


def test_refuses_more_objects_than_rows() -> None:
    with pytest.raises(ValueError, match="3 objects for 2 rows"):
        object_views(*hand_made(), ids=[3, 7, 9], rows=2)
