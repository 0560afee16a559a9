from dataclasses import replace
from typing import Any

import pytest
import torch

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.info_nce import info_nce
from astra.contrastive_dynamics.negatives import Contrast
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.objects import ObjectSpec
from astra.policies.astra import Astra, AstraConfig
from astra.tokenizers.actions import ContinuousActionsConfig
from astra.trajectory import Statistics, Trajectory, TrajectorySpec
from tests.contrastive_dynamics.made import SPEC, STATISTICS, moves, sources
from tests.policies.pictured import INSTRUCTIONS, VIEWS, rows, sample


@pytest.fixture
def spec(tiny_spec: TrajectorySpec) -> TrajectorySpec:
    objects = ObjectSpec(views=VIEWS, max_objects=4, max_pictured=3)
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=objects)


def tiny(spec: TrajectorySpec, statistics: Statistics, **changes: Any) -> Astra:
    return AstraConfig(**dict(layers=2, heads=2, width=16) | changes).build(spec, statistics)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reference_state": "observation.state"},
        {"window": 2},
        {"trajectory_attention": False, "action_queries": False},
        {"actions": ContinuousActionsConfig()},
    ],
)
def test_one_pass_embeds_every_candidate_as_if_it_were_encoded_by_itself(
    spec: TrajectorySpec, tiny_statistics: Statistics, changes: dict[str, Any]
) -> None:
    policy = tiny(spec, tiny_statistics, **changes).double().eval()
    config = ContrastiveConfig(cdl_fraction=1.0, augmentation=None, negatives=3)
    contrastive = ContrastiveDynamics(config, policy).double()
    B, T = 5, 3
    trajectory = sample(spec, B, T)
    short = torch.arange(T) < torch.tensor([3, 2, 3, 1, 2])[:, None]
    trajectory = replace(
        trajectory,
        valid=short,
        action_valid=short,
        actions=trajectory.actions.double(),
        states={name: values.double() for name, values in trajectory.states.items()},
    )
    contrast = config.draw(trajectory)
    perturbed = contrastive.perturb(trajectory.actions)
    found = contrastive.embed(policy, trajectory, contrast, perturbed)

    states = contrast.rows[contrast.states // T] % B, contrast.states % T
    actions = torch.cat([trajectory.actions, perturbed]).flatten(0, 1)[contrast.actions]
    if (reference := policy.reference(trajectory)) is not None:  # an action stays as it was seen from its own state
        from_where = reference.flatten(0, 1)
        actions += from_where[states[0] * T + states[1]] - from_where[contrast.actions % (B * T)]
    for a, anchor in enumerate(contrast.anchors.tolist()):
        length = int(short[anchor].sum())
        for c in range(5):
            row, step = (part[a, c, :length] for part in states)
            alone = rows(trajectory, slice(anchor, anchor + 1), length)
            alone = replace(
                alone,
                states={name: values[row, step][None] for name, values in trajectory.states.items()},
                objects={
                    name: replace(
                        view,
                        crops=view.crops[row, step][None],
                        boxes=view.boxes[row, step][None],
                        valid=view.valid[row, step][None],
                    )
                    for name, view in trajectory.objects.items()
                },
                actions=actions[a, c, None, :length],
            )
            _, encoded = policy.encode(alone)
            expected = contrastive.head(encoded, torch.ones(1, length, dtype=torch.bool))[0]
            torch.testing.assert_close(found[a, c], expected, rtol=1e-9, atol=1e-9)


def test_gradients_reach_tokenizers_and_the_encoder_but_no_query(
    spec: TrajectorySpec, tiny_statistics: Statistics
) -> None:
    policy = tiny(spec, tiny_statistics)
    config = ContrastiveConfig(cdl_fraction=1.0)
    contrastive = ContrastiveDynamics(config, policy)
    trajectory = sample(spec, 6, 3)
    loss, metrics = contrastive(policy, trajectory, config.draw(trajectory))
    loss.backward()
    untouched = {name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert untouched == {"queries", "head.weight", "head.bias"}
    assert all(weight.grad is not None for weight in contrastive.parameters())
    assert 0.3 < metrics["bins_changed"] < 0.95
    assert metrics["contrastive_loss"] == loss


def test_anchors_are_seen_as_they_are_and_positives_augmented(
    spec: TrajectorySpec, tiny_statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    policy = tiny(spec, tiny_statistics).eval()
    read = list[Trajectory]()
    tokenize = type(policy.states).forward

    def recorded(self: Any, trajectory: Trajectory, *args: Any, **named: Any) -> Any:
        read.append(trajectory)
        return tokenize(self, trajectory, *args, **named)

    monkeypatch.setattr(type(policy.states), "forward", recorded)
    trajectory = sample(spec, 6, 3)
    for augmentation in (AugmentationConfig(), None):
        config = ContrastiveConfig(cdl_fraction=1.0, augmentation=augmentation)
        contrast = config.draw(trajectory)
        ContrastiveDynamics(config, policy)(policy, trajectory, contrast)
        (seen,) = read
        before, after = trajectory.objects["top"][contrast.rows % 6], seen.objects["top"]
        same = (after.crops == before.crops).flatten(1).all(1) & (after.boxes == before.boxes).flatten(1).all(1)
        assert same[contrast.rows < 6].all()
        assert same[contrast.rows >= 6].any() == (augmentation is None)
        assert (contrast.rows[contrast.states[:, 1] // 3] >= 6).all(), "positives are of the augmented half"
        read.clear()


def test_embeddings_and_their_products_are_float32_under_autocast() -> None:
    policy = tiny(SPEC, STATISTICS).eval()
    config = ContrastiveConfig(cdl_fraction=1.0)
    contrastive = ContrastiveDynamics(config, policy)
    trajectory = moves(6)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = contrastive.embed(policy, trajectory, config.draw(trajectory), trajectory.actions)
        loss, _ = info_nce(embeddings)
    assert embeddings.dtype == torch.float32
    assert torch.equal(loss, info_nce(embeddings)[0])


@pytest.mark.parametrize("pooling", ["max", "mean", "attention"])
def test_padding_changes_nothing(pooling: Any) -> None:
    policy = tiny(SPEC, STATISTICS).eval()
    config = ContrastiveConfig(cdl_fraction=1.0, pooling=pooling)
    contrastive = ContrastiveDynamics(config, policy)
    trajectory = moves(6, 4, lengths=[4, 4, 3, 2, 1, 1])
    contrast, perturbed = config.draw(trajectory), contrastive.perturb(trajectory.actions)
    outside = ~trajectory.valid[..., None]
    spoiled = replace(
        trajectory,
        states={"place": trajectory.states["place"].masked_fill(outside, 3.3)},
        actions=trajectory.actions.masked_fill(outside, -2.2),
    )
    base = contrastive.embed(policy, trajectory, contrast, perturbed)
    changed = contrastive.embed(policy, spoiled, contrast, perturbed.masked_fill(outside, 1.1))
    torch.testing.assert_close(changed, base)


def test_checkpointing_gives_the_same_gradients() -> None:
    policy = tiny(SPEC, STATISTICS, dropout=0.1)
    trajectory, gradients = moves(6), []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        config = ContrastiveConfig(cdl_fraction=1.0, checkpointing=checkpointing)
        loss, _ = ContrastiveDynamics(config, policy)(policy, trajectory, config.draw(trajectory))
        policy.zero_grad()
        loss.backward()
        gradients.append([weight.grad.clone() for weight in policy.transformer.parameters() if weight.grad is not None])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_what_makes_no_sense_is_refused() -> None:
    for changes in ({"cdl_fraction": 0.0}, {"negatives": 0}, {"temperature": 0.0}, {"action_noise": -1.0}):
        with pytest.raises(ValueError, match="must be"):
            ContrastiveConfig(**changes)  # pyright: ignore[reportArgumentType]
    from astra.policies.vima import VimaConfig

    vima = VimaConfig(layers=1, heads=1, width=8).build(SPEC, STATISTICS)
    with pytest.raises(ValueError, match="a Vima cannot"):
        ContrastiveDynamics(ContrastiveConfig(), vima)


def replaced(contrast: Contrast, B: int, T: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whether a segment of a negative is not the anchor's own, (A, J, kind, T), and the source of each."""
    reference, _ = sources(contrast, B, T)
    own = torch.stack([contrast.anchors[:, None].expand(-1, T), torch.arange(T).expand(B, -1)], dim=-1)
    return (reference != own[:, None, None]).any(-1)[:, 2:], reference


def test_a_contrast_is_drawn_as_the_configuration_says() -> None:
    long = ContrastiveConfig(cdl_fraction=1.0, min_timesteps=3).draw(moves(8, 4, lengths=[4, 4, 3, 3, 2, 2, 1, 1]))
    assert long.anchors.tolist() == [0, 1, 2, 3]
    few, _ = replaced(ContrastiveConfig(cdl_fraction=1.0, replace_prob=1e-9).draw(moves(8, 4)), 8, 4)
    assert few.sum((-2, -1)).eq(1).all()
    near = ContrastiveConfig(cdl_fraction=1.0, negatives_from="near_time").draw(moves(8, 4))
    _, reference = replaced(near, 8, 4)
    assert (reference[..., 0] == near.anchors[:, None, None, None]).all()


@pytest.mark.parametrize("options", [dict(temperature=0.2), dict(normalize=True)])
def test_the_loss_has_the_temperature_and_normalization_of_the_configuration(options: dict[str, Any]) -> None:
    policy, trajectory = tiny(SPEC, STATISTICS).eval(), moves(6)
    config = ContrastiveConfig(cdl_fraction=1.0, **options)
    contrastive, contrast = ContrastiveDynamics(config, policy), config.draw(trajectory)
    torch.manual_seed(0)
    loss, _ = contrastive(policy, trajectory, contrast)
    torch.manual_seed(0)
    embeddings = contrastive.embed(policy, trajectory, contrast, contrastive.perturb(trajectory.actions))
    torch.testing.assert_close(loss, info_nce(embeddings, **options)[0])
    assert abs(loss - info_nce(embeddings)[0]) > 1e-3


def test_head_and_noise_are_those_of_the_configuration() -> None:
    policy = tiny(SPEC, STATISTICS)
    plain = ContrastiveDynamics(ContrastiveConfig(), policy)
    other = ContrastiveDynamics(ContrastiveConfig(pooling="mean", projection_layers=2, action_noise=0.5), policy)
    assert (plain.head.pooling, other.head.pooling) == ("max", "mean")
    assert len(list(other.head.parameters())) == len(list(plain.head.parameters())) + 2
    torch.testing.assert_close(other.perturb.deviation, torch.full((2,), 0.5))
