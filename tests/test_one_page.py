"""The page "Astra in one page" computes what the library computes, from the same weights."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.policies.test_astra import sample

if TYPE_CHECKING:
    from astra.policies.astra import Astra
    from astra.trajectory import Trajectory

PAGES = Path(__file__).resolve().parents[1] / "docs"


def run_page(name: str) -> dict[str, Any]:
    """Run all Python of a page in one namespace."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", (PAGES / name).read_text(), re.MULTILINE | re.DOTALL))
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(code, name, "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_page("astra-in-one-page.md")


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    """Compute everything in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def policy() -> "Astra":
    """A policy whose weights all differ from zero and one."""
    from astra.policies.astra import AstraConfig
    from astra.tokenizers.actions import DiscreteActionsConfig
    from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

    low, high = (-1.0, -2.0, 0.0), (1.0, 2.0, 4.0)
    spec = TrajectorySpec(
        states={"arm": 5, "objects": 7},
        actions=ActionSpec(names=("x", "y", "z"), low=low, high=high),
        instructions=("push the red block", "now push it back"),
    )

    def statistics(size: int) -> VectorStatistics:
        mean, std = torch.randn(size), 0.5 + torch.rand(size)
        return VectorStatistics(mean=mean, std=std, min=mean - 3 * std, max=mean + 3 * std)

    bounds = torch.tensor([low, high])
    actions = VectorStatistics(mean=bounds.mean(0), std=bounds.std(0), min=bounds[0], max=bounds[1])
    config = AstraConfig(layers=2, heads=2, width=32, positions="learned", actions=DiscreteActionsConfig(bins=20))
    built = config.build(
        spec, Statistics(states={name: statistics(n) for name, n in spec.states.items()}, actions=actions)
    )
    for name, parameter in built.named_parameters():  # a loud head, so that actions change with what is observed
        torch.nn.init.normal_(parameter, std=3.0 if name == "head.weight" else 0.3)
    return built.eval()


def twin(page: dict[str, Any], policy: "Astra") -> Any:
    """The page's model with the policy's weights and statistics."""
    bounds = policy.spec.actions
    low, high = (torch.tensor(bound) for bound in (bounds.low, bounds.high))
    language: Any = policy.language
    words = language.tokenizer.get_vocab_size()
    make: Any = page["Astra"]
    model = make(
        words=words, states=list(policy.spec.states.values()), low=low, high=high, bins=20, layers=2, heads=2, width=32
    )
    model.load_state_dict(policy.state_dict())
    statistics = policy.statistics.states.values()
    model.mean, model.std = [s.mean for s in statistics], [s.std for s in statistics]
    return model


def inputs(policy: "Astra", trajectory: "Trajectory") -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Words as numbers, states and actions, as the page takes them."""
    language: Any = policy.language
    words = torch.tensor([language.tokenizer.encode(instruction).ids for instruction in trajectory.instructions])
    return words, list(trajectory.states.values()), trajectory.actions


def draw(policy: "Astra", seed: int = 0) -> "Trajectory":
    return sample(policy.spec, B=4, T=5, seed=seed)


def test_the_page_computes_the_loss_of_the_library(page: dict[str, Any], policy: "Astra") -> None:
    trajectory = draw(policy)
    ours = page["behavior_cloning"](twin(page, policy), *inputs(policy, trajectory))
    torch.testing.assert_close(ours, policy.loss(trajectory).behavior_cloning, rtol=0, atol=1e-10)


def test_the_page_computes_the_gradients_of_the_library(page: dict[str, Any], policy: "Astra") -> None:
    trajectory, model = draw(policy), twin(page, policy)
    page["behavior_cloning"](model, *inputs(policy, trajectory)).backward()
    policy.loss(trajectory).behavior_cloning.backward()
    ours, theirs = dict(model.named_parameters()), dict(policy.named_parameters())
    assert set(ours) == set(theirs)
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name].grad, parameter.grad, rtol=0, atol=1e-10)


def test_the_page_acts_as_the_library(page: dict[str, Any], policy: "Astra") -> None:
    from tests.policies.test_astra import roll

    trajectory, model = draw(policy), twin(page, policy)
    words, states, actions = inputs(policy, trajectory)
    acted = roll(policy, trajectory)
    assert len(acted.flatten(0, 1).unique(dim=0)) > 2  # actions change with what is observed
    for t in range(5):
        ours = page["act"](model, words, [state[:, : t + 1] for state in states], actions[:, :t])
        torch.testing.assert_close(ours, acted[:, t], rtol=0, atol=1e-10)


def test_the_page_embeds_and_contrasts_as_the_library(page: dict[str, Any], policy: "Astra") -> None:
    from astra.contrastive_dynamics.info_nce import info_nce
    from astra.contrastive_dynamics.trajectory_head import TrajectoryHead

    head, model = TrajectoryHead(32, 8), twin(page, policy)
    ours, theirs = [], []
    with torch.no_grad():
        for seed in range(4):  # an anchor, a positive and two negatives
            trajectory = draw(policy, seed)
            ours.append(page["trajectory_embedding"](model, head.linear, *inputs(policy, trajectory)))
            theirs.append(head(policy.encode(trajectory)[1], trajectory.valid))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    loss = page["contrastive_dynamics"](ours[0], ours[1], torch.stack(ours[2:], dim=1))
    torch.testing.assert_close(loss.float(), info_nce(torch.stack(theirs, dim=1))[0], rtol=1e-5, atol=1e-5)


def test_the_page_draws_its_mask(page: dict[str, Any]) -> None:
    from astra.attention.masks import trajectory_mask

    kind, timestep, _ = page["token_ids"](2, 2, 2, 2, queries=True)
    assert torch.equal(page["trajectory_attention"](kind, timestep), trajectory_mask(2, 2, 2, 2, num_queries=2))
