"""What does not fit a policy's data is refused in one message, before it changes a rollout."""

import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from astra.policies.astra import Astra
    from astra.trajectory import Observation, Statistics, TrajectorySpec

FRONT = "observation.images.front"


@pytest.fixture
def spec(tiny_spec: "TrajectorySpec") -> "TrajectorySpec":
    from dataclasses import replace

    return replace(tiny_spec, images={FRONT: (16, 24)})


@pytest.fixture
def policy(spec: "TrajectorySpec", tiny_statistics: "Statistics") -> "Astra":
    from astra.policies.astra import AstraConfig
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    states = StateConfig(images=ImageConfig(encoder="small", image_size=32))
    return AstraConfig(layers=1, heads=2, width=32, states=states).build(spec, tiny_statistics).eval()


def observed(**changes: Any) -> "Observation":
    """Return an observation of one environment, as a robot's own loop may give it: of any types."""
    from astra.trajectory import Observation

    generator = torch.Generator().manual_seed(3)
    fields: dict[str, Any] = {
        "states": {
            "observation.state": torch.randn(1, 5, generator=generator),
            "observation.environment_state": torch.randn(1, 7, generator=generator),
        },
        "images": {FRONT: torch.randint(256, (1, 3, 16, 24), dtype=torch.uint8, generator=generator)},
        "previous_action": torch.zeros(1, 5),
        "objects": {},
        "present": {},
        "action_present": None,
    }
    for name, value in changes.items():
        if name == "previous_action":
            fields[name] = value
        else:
            fields[name] = fields[name] | value
    observation = object.__new__(Observation)  # the shape checks of the tests would refuse what users may give
    for name, value in fields.items():
        object.__setattr__(observation, name, value)
    return observation


FRAME = torch.zeros(1, 3, 16, 24, dtype=torch.uint8)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "floats": ({"images": {FRONT: FRAME / 255}}, r"front holds float32, expected uint8 .*\(255 \* frame\)"),
    "wide integers": ({"images": {FRONT: FRAME.long()}}, r"front holds int64, expected uint8 .*frame.to"),
    "channels last": ({"images": {FRONT: FRAME.permute(0, 2, 3, 1)}}, r"\(1, 16, 24, 3\), expected .*permute"),
    "one frame": ({"images": {FRONT: FRAME[0]}}, r"\(3, 16, 24\), expected .*frame\[None\]"),
    "another size": ({"images": {FRONT: FRAME[..., :8]}}, r"\(1, 3, 16, 8\), expected .*resize"),
    "more frames": ({"images": {FRONT: FRAME.repeat(2, 1, 1, 1)}}, r"previous_action has 1 environments"),
    "flags": ({"present": {FRONT: [1]}}, r"present\['.*front'\] has torch.int64 of shape \(1,\), expected torch.bool"),
    "NaN": ({"states": {"observation.state": torch.tensor([[0, 0, torch.nan, 0, 0]])}}, r"holds nan in dimension 2"),
    "infinite": ({"states": {"observation.state": torch.full((1, 5), torch.inf)}}, r"observation.state .* holds inf"),
    "too long": ({"states": {"observation.state": torch.zeros(1, 6)}}, r"shape \(1, 6\), expected .*\(1, 5\)"),
    "no environments": ({"states": {"observation.state": torch.zeros(5)}}, r"shape \(5,\), expected .*\[None\]"),
    "text": ({"states": {"observation.state": "far"}}, r"observation.state holds str 'far', expected numbers"),
    "NaN executed": ({"previous_action": torch.full((1, 5), torch.nan)}, r"previous_action .* holds nan .*executed"),
    "short action": ({"previous_action": torch.zeros(1, 4)}, r"previous_action has the shape \(1, 4\), expected"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_column_is_named_and_the_rollout_stays_as_it_was(policy: "Astra", name: str) -> None:
    changes, message = WRONG[name]
    state = policy.start(["stop now"], [0])
    with pytest.raises(ValueError, match=message):
        policy.act(state, observed(**changes))
    got, _ = policy.act(state, observed())
    expected, _ = policy.act(policy.start(["stop now"], [0]), observed())
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_large_finite_numbers_are_accepted_though_their_sum_is_infinite(policy: "Astra") -> None:
    large = torch.full((1, 5), 3e38)
    assert torch.isinf(large.sum())
    assert torch.equal(policy.check(observed(states={"observation.state": large})).states["observation.state"], large)


def test_states_in_other_units_are_pointed_out_once_and_those_near_the_range_are_not(policy: "Astra") -> None:
    statistics = policy.statistics.states["observation.state"]
    width = statistics.max - statistics.min
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        state = policy.start(["go"], [0])
        for share in (0.9, -1.9, 3.0, 4.0):
            states = {name: each.mean[None] for name, each in policy.statistics.states.items()}
            seen = observed(states=states | {"observation.state": (statistics.max + share * width)[None]})
            _, state = policy.act(state, seen)
    (message,) = (text for text in (str(each.message) for each in caught) if "the range of training" in text)
    assert "observation.state: dimension 0 (from 0) is far outside the range of training" in message
    assert f"{statistics.min[0]:.4g} to {statistics.max[0]:.4g}" in message


def test_the_numbers_of_a_vector_that_an_environment_lacks_are_ignored(policy: "Astra") -> None:
    """Be they far from those of training, or none at all."""
    absent = {"observation.state": torch.tensor([False])}

    def act(vector: torch.Tensor) -> torch.Tensor:
        seen = observed(states={"observation.state": vector}, present=absent)
        return policy.act(policy.start(["stop now"], [0]), seen)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actions = [act(torch.full((1, 5), number)) for number in (0.0, 1e6, torch.nan, torch.inf)]
    assert all(torch.equal(action, actions[0]) for action in actions)


def test_a_missing_reference_state_is_named_though_vectors_are_not_read(
    spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.serving.control_step import ControlStep, StepRunner
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    states = StateConfig(reads=("images",), images=ImageConfig(encoder="small", image_size=16))
    config = AstraConfig(layers=1, heads=2, width=32, states=states, reference_state="observation.state")
    policy, seen = config.build(spec, tiny_statistics).eval(), observed()
    step = ControlStep(policy, 2)
    seen.states.pop("observation.environment_state")  # pyright: ignore[reportAttributeAccessIssue]
    policy.act(policy.start(["stop now"], [0]), seen)
    seen.states.pop("observation.state")  # pyright: ignore[reportAttributeAccessIssue]
    for act in (lambda: policy.act(policy.start(["stop now"], [0]), seen), lambda: StepRunner(step, step, "go")(seen)):
        with pytest.raises(ValueError, match=r"the observation lacks observation\.state: got states with no column"):
            act()


def test_a_missing_column_is_named(policy: "Astra") -> None:
    observation = observed()
    observation.images.pop(FRONT)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match=f"the observation lacks {FRONT}: got images with no column"):
        policy.act(policy.start(["stop now"], [0]), observation)


def test_other_types_other_columns_and_another_order_give_the_same_action(policy: "Astra") -> None:
    plain = observed()
    vectors = list(plain.states.items())
    given = SimpleNamespace(
        states={"camera.temperature": [["hot"]], vectors[1][0]: vectors[1][1].double(), vectors[0][0]: vectors[0][1]},
        images={FRONT: plain.images[FRONT].numpy()},
        previous_action=np.zeros((1, 5)).tolist(),
    )
    other = observed(previous_action=given.previous_action)
    object.__setattr__(other, "states", given.states)
    object.__setattr__(other, "images", given.images)
    expected = policy.predict(policy.start(["stop now"], [0]), plain)
    torch.testing.assert_close(policy.predict(policy.start(["stop now"], [0]), other), expected, rtol=0, atol=0)


def test_outputs_that_are_not_finite_never_become_an_action(policy: "Astra") -> None:
    with torch.no_grad():
        policy.head.weight[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"NaN or infinite numbers for the environments \[0\] of 1.*no action"):
        policy.act(policy.start(["stop now"], [0]), observed())


def test_the_runner_of_an_exported_step_checks_too(policy: "Astra") -> None:
    from astra.serving.control_step import ControlStep, StepRunner

    step = ControlStep(policy, timesteps=2)
    runner = StepRunner(step, step, "stop now")
    for changes, message in WRONG.values():
        with pytest.raises(ValueError, match=message):
            runner(observed(**changes))
    absent = {next(iter(observed().states)): torch.tensor([False])}
    with pytest.raises(ValueError, match=r"lacks .*, and an exported step needs all"):
        runner(observed(present=absent))
    without = observed()
    object.__setattr__(without, "action_present", torch.zeros(1, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="lacks an action dimension"):
        runner(without)
    assert runner.timestep == 0
    swapped = observed()
    object.__setattr__(swapped, "states", dict(reversed(list(swapped.states.items()))))
    expected = policy.predict(policy.start(["stop now"], [0]), observed())
    torch.testing.assert_close(runner(swapped)[1], expected, rtol=1e-5, atol=1e-5)
    runner(observed())
    with pytest.raises(ValueError, match="the cache holds 2 timesteps and is full"):
        runner(observed())
    with torch.no_grad():
        policy.head.weight[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="no action is returned"):
        StepRunner(step, step, "stop now")(observed())


def test_an_exported_step_asks_only_for_what_the_policy_reads(
    spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.serving.control_step import ControlStep, StepRunner
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    states = StateConfig(reads=("images",), images=ImageConfig(encoder="small", image_size=32))
    policy = AstraConfig(layers=1, heads=2, width=32, window=2, states=states).build(spec, tiny_statistics).eval()
    step = ControlStep(policy)
    runner, state = StepRunner(step, step, "stop now"), policy.start(["stop now"], [0])
    seen = observed()
    object.__setattr__(seen, "states", {})
    torch.testing.assert_close(runner(seen)[1], policy.predict(state, seen), rtol=1e-5, atol=1e-5)
