from dataclasses import replace
from typing import Any

import pytest
import torch

from astra.contrastive_dynamics.negatives import Contrast, Negatives, draw_contrast
from astra.trajectory import Trajectory
from tests.contrastive_dynamics.made import moves, sources

LENGTHS = [4, 4, 3, 3, 2, 2, 1, 1]
B, T, J = len(LENGTHS), 4, 6


def draw(trajectory: Trajectory, kind: Negatives = "any_task", **changes: Any) -> Contrast:
    settings: dict[str, Any] = {"fraction": 1.0, "replace_prob": 0.5} | changes
    return draw_contrast(trajectory, negatives=J, negatives_from=kind, **settings)


def own(contrast: Contrast) -> torch.Tensor:
    """Return the indices of the anchors' own segments, as (A, 1, 1, T, 2)."""
    steps = torch.arange(T).expand(len(contrast.anchors), T)
    return torch.stack([contrast.anchors[:, None].expand_as(steps), steps], dim=-1)[:, None, None]


def test_anchor_and_positive_are_the_trajectory_itself_as_it_is_and_augmented() -> None:
    contrast = draw(moves(B, T, lengths=LENGTHS))
    reference, version = sources(contrast, B, T)
    assert (reference[:, :2] == own(contrast)).all()
    assert (version[:, 0] == 0).all()
    assert (version[:, 1] == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_segment_is_random_and_none_is_moved_in_time(seed: int) -> None:
    """Check the first and the third principle of section 3.3."""
    torch.manual_seed(seed)
    trajectory = moves(B, T, lengths=LENGTHS)
    contrast = draw(trajectory)
    reference, _ = sources(contrast, B, T)
    real = trajectory.valid[contrast.anchors][:, None, None].expand(reference.shape[:-1])
    assert trajectory.valid[reference[..., 0], reference[..., 1]][real].all()
    assert (reference[..., 1] == torch.arange(T)).all()
    foreign = (reference[:, 2:] != own(contrast)).any(-1) & real[:, 2:]
    assert (
        reference[:, 2:][foreign][:, 0] != contrast.anchors[:, None, None, None].expand(foreign.shape)[foreign]
    ).all()


@pytest.mark.parametrize("seed", range(5))
def test_at_least_one_segment_is_replaced_and_never_all(seed: int) -> None:
    torch.manual_seed(seed)
    trajectory = moves(B, T, lengths=LENGTHS)
    for probability in (0.01, 0.5, 1.0):
        contrast = draw(trajectory, replace_prob=probability)
        reference, _ = sources(contrast, B, T)
        replace_prob = (reference != own(contrast)).any(-1)[:, 2:].sum((2, 3))
        segments = 2 * trajectory.valid[contrast.anchors].sum(1)[:, None]
        assert (replace_prob >= 1).all()
        assert (replace_prob < segments).all()
        assert (replace_prob[segments[:, 0] == 2] == 1).all()  # of one timestep: a state or an action


def test_states_and_actions_of_a_negative_come_from_two_trajectories() -> None:
    contrast = draw(moves(B, T))
    reference, _ = sources(contrast, B, T)
    foreign = (reference != own(contrast)).any(-1)[:, 2:]
    for a in range(len(contrast.anchors)):
        for j in range(J):
            states, actions = ({int(row) for row in reference[a, 2 + j, k, foreign[a, j, k], 0]} for k in (0, 1))
            assert max(len(states), len(actions)) <= 1
            assert not states & actions


def test_negatives_are_of_augmented_segments_as_often_as_of_original_ones() -> None:
    """Check the second principle of section 3.3."""
    torch.manual_seed(0)
    versions = torch.stack([sources(draw(moves(B, T)), B, T)[1][:, 2:] for _ in range(20)])
    assert (versions == versions[..., :1, :1]).all()
    assert versions.float().mean() == pytest.approx(0.5, abs=0.05)


def test_harder_donors_are_those_told_the_same_and_windows_of_one_episode_are_none() -> None:
    trajectory = moves(B, T)
    reference, _ = sources(draw(trajectory, "same_task"), B, T)
    assert (reference[..., 0] % 2 == torch.arange(B)[:, None, None, None] % 2).all()
    episodes = torch.arange(B) // 2
    contrast = draw(replace(trajectory, episodes=episodes))
    reference, _ = sources(contrast, B, T)
    foreign = (reference != own(contrast)).any(-1)
    anchors = contrast.anchors[:, None, None, None].expand(foreign.shape)
    assert (episodes[reference[..., 0][foreign]] != episodes[anchors[foreign]]).all()


def test_where_too_few_were_told_the_same_others_give_segments_too() -> None:
    torch.manual_seed(0)
    trajectory = replace(moves(4, T), instructions=("go there", "go there", "stay here", "stay here"))
    reference, _ = sources(draw(trajectory, "same_task"), 4, T)
    of_states, of_actions = (reference[0, 2:, kind, :, 0] for kind in (0, 1))
    for states, actions in zip(of_states, of_actions, strict=True):
        donors = set(states.tolist() + actions.tolist()) - {0}
        assert len(donors & {2, 3}) <= 1, "one of the two was told the same"
    assert 1 in of_states.unique() or 1 in of_actions.unique()
    assert {2, 3} & set(reference[0, 2:, ..., 0].unique().tolist())


def test_near_time_exchanges_two_neighboring_states_or_actions() -> None:
    trajectory = moves(B, T, lengths=LENGTHS)
    contrast = draw(trajectory, "near_time")
    reference, _ = sources(contrast, B, T)
    lengths = torch.tensor(LENGTHS)[contrast.anchors]
    for a, length in enumerate(lengths.tolist()):
        for j in range(2, 2 + J):
            moved = (reference[a, j] != own(contrast)[a, 0, 0]).any(-1)
            if length == 1:
                assert moved.sum() == 1
                continue
            kind = int(moved.any(1).nonzero())
            first, second = moved[kind].nonzero()[:, 0].tolist()
            assert second == first + 1 < length
            assert reference[a, j, kind, [first, second], 1].tolist() == [second, first]


def test_near_time_exchanges_nothing_that_rests() -> None:
    """Swapping two equal neighbors would give the anchor again."""
    trajectory = moves(6, T)
    trajectory.states["place"][:, 1:] = trajectory.states["place"][:, 1:2]
    trajectory.actions[:, :2] = 0
    trajectory.actions[0] = trajectory.states["place"][0] = 0
    for seed in range(5):
        torch.manual_seed(seed)
        contrast = draw(trajectory, "near_time")
        reference, _ = sources(contrast, 6, T)
        moved = (reference != own(contrast)).any(-1)[:, 2:]
        assert (reference[0, 2:][moved[0]][:, 0] != 0).all(), "a trajectory at rest takes segments of others"
        assert moved[1:].sum((-2, -1)).eq(2).all()
        assert moved[1:, :, 0, 2:].logical_not().all()
        assert moved[1:, :, 1, 0].logical_not().all()


def test_near_time_of_a_single_timestep_takes_a_segment_of_another_trajectory() -> None:
    contrast = draw(moves(6, 1), "near_time")
    reference, _ = sources(contrast, 6, 1)
    moved = reference[:, 2:, ..., 0] != contrast.anchors[:, None, None, None]
    assert moved.sum((-2, -1)).eq(1).all()


def test_only_states_that_are_used_are_tokenized() -> None:
    contrast = draw(moves(40, T), fraction=0.05, replace_prob=0.01)
    assert len(contrast.anchors) == 2
    assert len(contrast.rows) < 2 * (2 + J) + 1


def test_anchors_share_the_prompts_that_are_equal() -> None:
    contrast = draw(moves(B, T))
    assert contrast.first_prompts == (0, 1)
    assert contrast.prompts.tolist() == (contrast.anchors % 2).tolist()


@pytest.mark.parametrize("episodes", [[0, 1], [0, 0, 0, 1]])
def test_a_batch_too_small_for_two_donors_is_refused(episodes: list[int]) -> None:
    trajectory = replace(moves(len(episodes), T), episodes=torch.tensor(episodes))
    with pytest.raises(ValueError, match="too small for contrastive dynamics learning"):
        draw(trajectory)


def test_mixed_negatives_are_swaps_and_donors_told_the_same_by_halves() -> None:
    trajectory = moves(B, T)
    reference, _ = sources(draw(trajectory, "mixed"), B, T)
    moved = (reference != own(draw(trajectory))).any(-1)[:, 2:]
    swapped, replaced = reference[:, 2 : 2 + J // 2], reference[:, 2 + J // 2 :]
    assert moved[:, : J // 2].sum((-2, -1)).eq(2).all()
    anchors = torch.arange(B)[:, None, None, None]
    assert (swapped[..., 0] == anchors).all()
    assert (replaced[..., 0] != anchors).any((-2, -1)).all()
    assert (replaced[..., 0] % 2 == anchors % 2).all()


def test_anchors_have_the_timesteps_that_are_asked_for_or_as_many_as_there_are() -> None:
    contrast = draw(moves(B, T, lengths=LENGTHS), min_timesteps=3)
    assert contrast.anchors.tolist() == [0, 1, 2, 3]
    few = draw(moves(B, T, lengths=[2, 1, 1, 1, 2, 1, 1, 1]), min_timesteps=3)
    assert few.anchors.tolist() == [0, 4]


def test_the_two_donors_of_a_negative_are_of_two_episodes() -> None:
    episodes = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2])
    contrast = draw(replace(moves(B, T), episodes=episodes), replace_prob=1.0)
    reference, _ = sources(contrast, B, T)
    foreign = (reference != own(contrast)).any(-1)[:, 2:]
    for a in range(len(contrast.anchors)):
        for j in range(J):
            donors = (reference[a, 2 + j, kind, foreign[a, j, kind], 0] for kind in (0, 1))
            states, actions = (set(episodes[rows].tolist()) for rows in donors)
            assert not states & actions
