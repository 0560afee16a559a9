"""Fine-tuning: initial weights are matched by name, whatever the order of the data.

`PERMUTED` needs an entry for every policy of the package.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.pictured import VIEWS, sample

if TYPE_CHECKING:
    from astra.policies.policy import Policy
    from astra.trajectory import Statistics, Trajectory, TrajectorySpec, VectorStatistics

SMALL: dict[str, Any] = dict(layers=1, heads=2, width=16)
LEFT, RIGHT, WRIST = "observation.images.left", "observation.images.right", "observation.images.wrist"
ORDER = [3, 0, 4, 2, 1]
"""Place in the first data of each action dimension of the second."""

PERMUTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "astra": ("astra", dict(chunk_size=2), ""),
    "astra, learned positions": ("astra", dict(positions="learned"), ""),
    "astra, continuous": ("astra", dict(actions="continuous"), ""),
    "astra, shared bins": ("astra", dict(head_frequencies=2), ""),
    "astra, values of bins": ("astra", dict(token_frequencies=2, word_norm=True), ""),
    "astra, no queries": ("astra", dict(action_queries=False), "action tokens are read one after the other"),
    "decision transformer": ("decision-transformer", {}, ""),
    "gato": ("gato", {}, "state tokens are read one after the other"),
    "vima": ("vima", {}, "state tokens are read one after the other"),
    "flamingo": ("flamingo", {}, ""),
    "flamingo, learned positions": ("flamingo", dict(positions="learned"), ""),
    "diffusion": ("diffusion", dict(denoising_steps=4), "state tokens are read one after the other"),
}
"""Policy, its options, and the reason why data of another order are refused (empty: they are not)."""


def build(name: str, spec: "TrajectorySpec", statistics: "Statistics", **more: Any) -> "Policy[Any]":
    from astra.policies import POLICIES
    from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    kind, options, _ = PERMUTED[name]
    options = dict(options)
    frequencies, continuous = options.pop("head_frequencies", 0), options.pop("actions", "")
    values, norm = options.pop("token_frequencies", 0), options.pop("word_norm", False)
    actions = DiscreteActionsConfig(bins=7, head_frequencies=frequencies, token_frequencies=values)
    actions = ContinuousActionsConfig() if continuous else actions
    states = StateConfig(images=ImageConfig(encoder="small", image_size=16), word_norm=norm)
    return (
        POLICIES[kind](**SMALL | options | dict(actions=actions, states=states) | more).build(spec, statistics).eval()
    )


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from astra.objects import ObjectSpec

    objects = ObjectSpec(views=VIEWS, max_objects=4)
    words = ("put the {dragged} into the {base} .", "rearrange to this {scene}", "stop now")
    return replace(tiny_spec, images={LEFT: (16, 16), RIGHT: (16, 16)}, instructions=words, objects=objects)


def permuted_spec(spec: "TrajectorySpec") -> "TrajectorySpec":
    """Return the same data with every list in another order, and with more words."""
    from astra.objects import ObjectSpec
    from astra.trajectory import ActionSpec

    columns = {
        name: tuple(getattr(spec.actions, name)[place] for place in ORDER)
        for name in ("names", "low", "high", "binary", "periodic")
    }
    return replace(
        spec,
        states=dict(list(spec.states.items())[::-1]),
        images=dict(list(spec.images.items())[::-1]),
        objects=ObjectSpec(views=dict(reversed(VIEWS.items())), max_objects=4),
        actions=ActionSpec(**columns),
        instructions=("away", *spec.instructions),
    )


def permuted_statistics(statistics: "Statistics") -> "Statistics":
    return replace(statistics, actions=_reordered(statistics.actions))


def _reordered(vector: "VectorStatistics") -> "VectorStatistics":
    fields = {name: getattr(vector, name)[ORDER] for name in ("mean", "std", "min", "max")}
    return replace(vector, **fields)


def frames_of(trajectory: "Trajectory", *cameras: str) -> "Trajectory":
    images = {
        camera: torch.randint(
            256, (*trajectory.valid.shape, 3, 16, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
        )
        for seed, camera in enumerate(cameras)
    }
    return replace(trajectory, images=images, pictures=None, instructions=("stop now",) * len(trajectory.valid))


def begin(old: "Policy[Any]", new: "Policy[Any]", folder: Path) -> str:
    from astra.policies.checkpoint import save_policy
    from astra.training.init_from import initialize_from

    with torch.no_grad():
        for weight in old.parameters():
            weight.add_(0.3 * torch.randn_like(weight))  # so that everything has an effect
    save_policy(old, folder / "old")
    return initialize_from(new, folder / "old")


@pytest.mark.parametrize("name", PERMUTED)
def test_data_of_another_order_start_with_the_same_policy_or_are_refused(
    name: str, spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    old = build(name, spec, tiny_statistics)
    new = build(name, permuted_spec(spec), permuted_statistics(tiny_statistics))
    refusal = PERMUTED[name][2]
    if refusal:
        with pytest.raises(ValueError, match=refusal):
            begin(old, new, tmp_path)
        return
    begin(old, new, tmp_path)
    trajectory = frames_of(sample(spec), LEFT, RIGHT)
    later = old.chunk_size - 1
    trajectory = replace(
        trajectory,
        actions=torch.cat([trajectory.actions, trajectory.actions[:, :later]], dim=1),
        action_valid=torch.cat([trajectory.action_valid, trajectory.action_valid[:, :later]], dim=1),
    )
    permuted = replace(trajectory, actions=trajectory.actions[..., ORDER])
    expected, found = old.loss(trajectory), new.loss(permuted)
    torch.testing.assert_close(found.behavior_cloning, expected.behavior_cloning, rtol=1e-4, atol=1e-5)


def test_every_policy_of_the_package_is_listed() -> None:
    from astra.policies import POLICIES
    from astra.training.weight_names import POLICIES_WITH_NAMES

    assert {kind for kind, _, _ in PERMUTED.values()} | {"rt1"} == set(POLICIES)
    assert len(POLICIES_WITH_NAMES) == len(POLICIES)


def test_rt1_finds_its_cameras_and_dimensions_by_name(
    spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    from astra.policies.rt1 import RT1Config

    config = RT1Config(
        layers=1,
        heads=1,
        head_width=8,
        width=16,
        frame_tokens=2,
        width_coefficient=0.1,
        depth_coefficient=0.1,
        image_size=32,
    )
    old = config.build(spec, tiny_statistics).eval()
    same = replace(permuted_spec(spec), images=spec.images)
    new = config.build(same, permuted_statistics(tiny_statistics)).eval()
    begin(old, new, tmp_path)
    trajectory = frames_of(sample(spec, T=2), LEFT, RIGHT)
    permuted = replace(trajectory, actions=trajectory.actions[..., ORDER])
    torch.testing.assert_close(
        new.loss(permuted).behavior_cloning, old.loss(trajectory).behavior_cloning, rtol=1e-4, atol=1e-5
    )
    (tmp_path / "other").mkdir()
    swapped = config.build(permuted_spec(spec), permuted_statistics(tiny_statistics))
    with pytest.raises(ValueError, match=r"read one after the other as observation.images.left"):
        begin(old, swapped, tmp_path / "other")


def test_what_was_matched_new_and_dropped_is_said(
    spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    old = build("astra", spec, tiny_statistics)
    other = replace(spec, images={RIGHT: (16, 16), WRIST: (16, 16)}, instructions=("stop now please",), fps=20.0)
    other = replace(other, actions=replace(spec.actions, low=(-3.0, *spec.actions.low[1:])))
    new = build("astra", other, tiny_statistics)
    wrist = new.get_parameter("states.images.projections.1.weight").clone()
    told = begin(old, new, tmp_path)
    assert f"cameras: matched {RIGHT}; new (random weights) {WRIST}; dropped {LEFT}" in told
    assert "words: matched now, stop; new (random weights) please; dropped ., " in told
    assert "action dimensions: matched x, y, z, turn, grip" in told
    assert "the range of x differs (x: -1 to 1, now -3 to 1)" in told
    assert "trained at 10 timesteps per second, the data have 20" in told
    assert torch.equal(new.get_parameter("states.images.projections.1.weight"), wrist)
    moved = new.get_parameter("states.images.projections.0.weight")
    assert torch.equal(moved, old.get_parameter("states.images.projections.1.weight"))


def test_frames_may_be_new(spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path) -> None:
    old = build("astra", replace(spec, images={}, objects=None), tiny_statistics)
    told = begin(old, build("astra", spec, tiny_statistics), tmp_path)
    assert f"cameras: new (random weights) {LEFT}, {RIGHT}" in told


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (dict(states={"observation.state": 5, "observation.environment_state": 3}), {}, "has 7 numbers, here 3"),
        (dict(), dict(width=32), r"it has policy.width=16, this one 32"),
        (dict(), dict(layers=2), r"it has policy.layers=1, this one 2"),
        (dict(), dict(reference_state="observation.state"), "its actions are relative to None, here to observation"),
        (
            dict(periodic=(False, False, False, True, False)),
            {},
            "'turn' has 7 bins, values between bounds, here 7 bins",
        ),
        (dict(names=("a", "b", "c", "d", "e")), {}, "no action dimension in common"),
    ],
)
def test_contradictions_are_refused(
    change: dict[str, Any],
    options: dict[str, Any],
    message: str,
    spec: "TrajectorySpec",
    tiny_statistics: "Statistics",
    tmp_path: Path,
) -> None:
    old = build("astra", spec, tiny_statistics)
    other = replace(spec, states=change.pop("states", spec.states))
    other = replace(other, actions=replace(spec.actions, **change))
    statistics = tiny_statistics
    if other.states["observation.environment_state"] == 3:
        vector = tiny_statistics.states["observation.environment_state"]
        short = replace(vector, **{name: getattr(vector, name)[:3] for name in ("mean", "std", "min", "max")})
        statistics = replace(tiny_statistics, states={**tiny_statistics.states, "observation.environment_state": short})
    new = build("astra", other, statistics, **options)
    before = {name: weight.clone() for name, weight in new.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        begin(old, new, tmp_path)
    assert all(torch.equal(before[name], weight) for name, weight in new.state_dict().items())
