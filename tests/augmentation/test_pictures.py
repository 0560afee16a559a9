from dataclasses import replace

import pytest
import torch

from astra.augmentation.pictures import AugmentationConfig, augment
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.objects import Objects, PromptPictures
from tests.contrastive_dynamics.made import moves, with_objects

PLAIN = AugmentationConfig(brightness=0.0, contrast=0.0)


def test_a_box_moves_with_its_crop_so_that_the_object_stays_where_it_is() -> None:
    trajectory = with_objects(moves(8))
    before, after = trajectory.objects["top"], augment(trajectory, AugmentationConfig(shift=0.2)).objects["top"]
    assert torch.equal(after.valid, before.valid)
    assert torch.equal(after.boxes[..., 2:], before.boxes[..., 2:])
    bright = (after.crops[..., 0] > 120).float()
    pixels = torch.arange(32.0)
    down = (bright.sum(-1) * pixels).sum(-1) / bright.sum((-1, -2)) - 15.5
    right = (bright.sum(-2) * pixels).sum(-1) / bright.sum((-1, -2)) - 15.5
    assert down.abs().max() > 3
    # a crop shows a square as long as the longer side of its box, which is 32 pixels
    torch.testing.assert_close(after.boxes[..., 0] + right, before.boxes[..., 0])
    torch.testing.assert_close(after.boxes[..., 1] + down, before.boxes[..., 1])


@pytest.mark.parametrize("same", [True, False])
def test_all_timesteps_change_alike_by_default_and_objects_each_in_their_way(same: bool) -> None:
    trajectory = with_objects(moves(8))
    crops = augment(trajectory, replace(PLAIN, shift=0.2, same_at_all_timesteps=same)).objects["top"].crops
    assert (crops == crops[:, :1]).all() == same
    assert (crops[:, :, 0] != crops[:, :, 1]).any()
    assert (crops[0] != crops[1]).any()


def test_frames_are_shifted_within_bounds_and_repeat_their_edge() -> None:
    columns = torch.arange(16, dtype=torch.uint8).expand(6, 4, 3, 8, 16)
    trajectory = replace(moves(6), images={"camera": columns})
    frames = augment(trajectory, replace(PLAIN, shift=0.25)).images["camera"]
    assert frames.shape == columns.shape
    shifts = {int(frame[0, 0, 8]) - 8 for frame in frames[:, 0]}
    assert shifts <= set(range(-4, 5))
    assert len(shifts) > 2
    for frame in frames.flatten(0, 1):
        by = int(frame[0, 0, 8]) - 8
        assert frame[0, 0].tolist() == [min(max(x + by, 0), 15) for x in range(16)]


def test_light_is_bounded_and_the_same_for_all_objects_of_a_view() -> None:
    trajectory = with_objects(moves(20))
    config = AugmentationConfig(shift=0.0, brightness=0.1, contrast=0.2)
    crops = augment(trajectory, config).objects["top"].crops
    assert (crops[:, :, 0] == crops[:, :, 1]).all()
    dark, bright = crops[:, 0, 0, 0, 0, 0].float(), crops[:, 0, 0, 15, 15, 0].float()
    assert len(dark.unique()) > 5
    assert (bright - dark - 120).abs().max() <= 0.2 * 120 + 1
    assert (dark - 60).abs().max() <= 0.2 * 67.5 + 25.5 + 1


def test_the_first_trajectories_stay_where_so_many_are_reported() -> None:
    trajectory = replace(
        with_objects(moves(4)), images={"camera": torch.arange(8).to(torch.uint8).expand(4, 4, 3, 8, 8)}
    )
    changed = augment(trajectory, AugmentationConfig(shift=0.5), after=2)
    pairs = [
        (getattr(changed.objects["top"], part), getattr(trajectory.objects["top"], part)) for part in ("crops", "boxes")
    ]
    for after, before in (*pairs, (changed.images["camera"], trajectory.images["camera"])):
        assert torch.equal(after[:2], before[:2])
        assert (after[2:] != before[2:]).any()


def test_together_a_state_does_not_tell_which_trajectory_it_is_from() -> None:
    trajectory = replace(
        with_objects(moves(6)), images={"camera": torch.arange(16).to(torch.uint8).expand(6, 4, 3, 8, 16)}
    )
    changed = augment(trajectory, AugmentationConfig(shift=0.2), after=2, together=True)
    frames, crops = changed.images["camera"][2:], changed.objects["top"].crops[2:]
    assert (frames == frames[0]).all()
    background = crops[..., 0, 0, :]
    assert (background == background[0, 0, 0]).all()
    assert (background != trajectory.objects["top"].crops[2:, ..., 0, 0, :]).any()
    assert (crops[0] != crops[1]).any(), "each object is cut out in its own way"


def test_pictures_in_prompts_change_only_where_that_is_asked_for() -> None:
    trajectory = with_objects(moves(8))
    shown = trajectory.objects["top"]
    pictures = PromptPictures(
        views={"top": Objects(crops=shown.crops[:, 0], boxes=shown.boxes[:, 0], valid=shown.valid[:, 0])},
        placeholder=torch.arange(2).repeat(8, 1),
    )
    trajectory = replace(trajectory, pictures=pictures)
    assert augment(trajectory, AugmentationConfig(shift=0.2)).pictures is pictures
    changed = augment(trajectory, AugmentationConfig(shift=0.2, prompts=True)).pictures
    assert changed is not None
    assert torch.equal(changed.placeholder, pictures.placeholder)
    before, after = pictures.views["top"], changed.views["top"]
    assert (after.crops != before.crops).flatten(1).any(1).all()
    assert torch.equal(after.boxes[..., 2:], before.boxes[..., 2:])
    assert (after.boxes[..., :2] != before.boxes[..., :2]).any()
    dark = after.crops[:, :, 0, 0, 0]
    assert len(dark[:, 0].unique()) > 3
    assert torch.equal(dark[:, 0], dark[:, 1])  # light is that of the prompt
    with pytest.raises(ValueError, match="all candidates of an anchor share its prompt"):
        ContrastiveConfig(augmentation=AugmentationConfig(prompts=True))


def test_features_of_a_frozen_encoder_cannot_be_augmented() -> None:
    trajectory = replace(moves(3), features={"camera": torch.zeros(3, 4, 8)})
    with pytest.raises(ValueError, match="features of a frozen encoder, which cannot be augmented"):
        augment(trajectory, AugmentationConfig())
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        AugmentationConfig(shift=-0.1)
