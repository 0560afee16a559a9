import pytest
import torch

from astra.frames import cached_size, resize, resize_by_products


@pytest.mark.parametrize("size", [(7, 7), (16, 24), (50, 70)])
def test_resizing_again_changes_nothing_and_no_frame_depends_on_the_others(size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (5, 3, 31, 45)).to(torch.uint8)
    resized = resize(frames, size)
    assert resized.dtype == torch.uint8
    assert resized.shape == (5, 3, *size)
    assert torch.equal(resize(resized, size), resized)
    assert torch.equal(resized[2:3], resize(frames[2:3], size))


@pytest.mark.parametrize(("recorded", "size"), [((31, 45), (16, 16)), ((480, 640), (96, 96)), ((48, 64), (64, 48))])
def test_the_layout_in_memory_changes_no_pixel(recorded: tuple[int, int], size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (2, *recorded, 3)).to(torch.uint8).permute(0, 3, 1, 2)
    assert torch.equal(resize(frames, size), resize(frames.contiguous(), size))
    assert resize(frames, size).is_contiguous()


@pytest.mark.parametrize(
    ("recorded", "size"),
    [
        ((480, 640), (96, 96)),
        ((720, 1280), (84, 84)),
        ((100, 37), (64, 64)),
        ((33, 45), (32, 45)),
        ((1200, 900), (7, 5)),
        ((5, 9), (50, 70)),
    ],
)
def test_other_devices_and_exports_return_the_same_bytes(recorded: tuple[int, int], size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (2, 3, *recorded)).to(torch.uint8)
    assert torch.equal(resize_by_products(frames, size), resize(frames, size))


def test_colors_stay_and_none_leaves_its_range() -> None:
    edges = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    edges[..., 10:] = 255
    resized = resize(edges, (30, 30))
    assert resized[..., 0].unique().tolist() == [0]
    assert resized[..., -1].unique().tolist() == [255]


def test_frames_are_cached_at_the_smaller_size() -> None:
    assert cached_size((480, 640), (64, 64)) == (64, 64)
    assert cached_size((32, 32), (64, 64)) == (32, 32)
    assert cached_size((64, 64), (64, 64)) == (64, 64)
    assert cached_size((480, 640), None) == (480, 640)
