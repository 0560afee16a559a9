from dataclasses import replace

import torch

from astra.augmentation.object_order import shuffle_objects
from astra.objects import Objects, PromptPictures
from tests.contrastive_dynamics.made import moves


def numbered(*shape: int) -> Objects:
    """Build objects whose crops and boxes encode their place in the list."""
    number = torch.arange(shape[-1]).expand(shape)
    return Objects(
        crops=number[..., None, None, None].expand(*shape, 32, 32, 3).to(torch.uint8),
        boxes=number[..., None].expand(*shape, 4).float(),
        valid=torch.ones(shape, dtype=torch.bool),
    )


def test_objects_change_places_alike_in_all_views_and_at_all_timesteps() -> None:
    B, T, O = 200, 3, 4  # noqa: E741
    top, front = numbered(B, T, O), numbered(B, T, O)
    top.valid[..., 3] = front.valid[..., 3] = False  # there is no fourth
    top.valid[:, 1:, 2] = front.valid[:, 1:, 2] = False  # the third is hidden after the first timestep
    front.valid[..., 0] = False  # the first is not seen from the side
    shuffled = shuffle_objects(replace(moves(B, T), objects={"top": top, "front": front})).objects
    order = shuffled["top"].boxes[:, 0, :, 0].long()
    assert len(order.unique(dim=0)) == 6
    assert (order[:, 3] == 3).all()
    counts = torch.stack([(order[:, :3] == number).sum(0) for number in range(3)])
    assert (counts - B / 3).abs().max() < 30
    for view, before in (("top", top), ("front", front)):
        after = shuffled[view]
        assert torch.equal(after.boxes[..., 0].long(), order[:, None].expand(B, T, O))
        assert torch.equal(after.crops[..., 0, 0, 0].long(), order[:, None].expand(B, T, O))
        assert torch.equal(after.valid, before.valid.gather(-1, order[:, None].expand(B, T, O)))


def test_pictured_objects_change_places_with_those_of_their_placeholder() -> None:
    B = 100
    placeholder = torch.tensor([0, 1, 1, 1, 2, -1]).repeat(B, 1)
    placeholder[-1] = torch.tensor([0, 1, -1, -1, -1, -1])
    pictures = PromptPictures(views={"top": numbered(B, 6)}, placeholder=placeholder)
    shuffled = shuffle_objects(replace(moves(B), pictures=pictures)).pictures
    assert shuffled is not None
    assert torch.equal(shuffled.placeholder, placeholder)
    order = shuffled.views["top"].boxes[..., 0].long()
    assert torch.equal(placeholder.gather(-1, order), placeholder)
    assert len(order[:-1, 1:4].unique(dim=0)) == 6
    assert order[-1, :2].tolist() == [0, 1]


def test_without_objects_nothing_changes() -> None:
    trajectory = moves(3)
    shuffled = shuffle_objects(trajectory)
    assert shuffled.states is trajectory.states
    assert shuffled.objects == {}
    assert shuffled.pictures is None
