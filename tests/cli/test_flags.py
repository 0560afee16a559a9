"""Messages name flags as they are typed, and flags that change the whole policy of an experiment."""

import contextlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest

FLAGS = (
    *("--training.updates", "--training.batch-size", "--training.seed", "--rollouts.seed", "--policy.chunk-size"),
    *("--policy.decoding.n-action-steps", "--policy.window", "--temperature"),
)


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("training.batch_size=3 cannot be split", "--training.batch-size=3 cannot be split"),
        ("set chunk_size to 1, got chunk_size=8", "set --policy.chunk-size to 1, got --policy.chunk-size=8"),
        ("decoding.n_action_steps must be 1", "--policy.decoding.n-action-steps must be 1"),
        ("decoding.temperature must not be negative", "--temperature must not be negative"),
        ("a window needs window=2", "a window needs --policy.window=2"),
        ("the seed=3 may be either", "the seed=3 may be either"),
        ("data/training.updates is a file", "data/training.updates is a file"),
        ("use --training.updates or updates", "use --training.updates or updates"),
        ("observation.state has 3 dimensions", "observation.state has 3 dimensions"),
    ],
)
def test_fields_in_messages_become_flags(message: str, typed: str) -> None:
    from astra.cli.flags.messages import as_typed

    assert as_typed(message, FLAGS) == typed


@pytest.mark.parametrize("typed", ["--training.seed", "--rollouts.seed"])
def test_a_flag_that_two_places_could_mean_is_the_one_that_was_typed(typed: str) -> None:
    from astra.cli.flags.messages import as_typed

    flags = ["--training.seed", "--rollouts.seed", "--output"]
    message = "--seed must be at least 0: use --output, --training.seed or --unknown"
    expected = message.replace("--seed", typed, 1)
    assert as_typed(message, flags, {typed, "--output"}) == expected
    assert as_typed(message, flags, {"--output"}) == message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rollouts.seed", "-3"], "--rollouts.seed must be at least 0, got -3"),
        (["--rollouts.seed", "99999999999"], "--rollouts.seed must be at most 4294967295, got 99999999999"),
        (["--training.updates", "0"], "--training.updates must be at least 1, got 0"),
        (["--training.batch-size", "-4"], "--training.batch-size must be at least 1, got -4"),
        (["--policy.width", "wide"], "--policy.width"),
        (["--policy", "gatto"], "'--policy'"),
    ],
)
def test_values_that_cannot_work_are_refused_by_their_flag(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    with pytest.raises(SystemExit) as stop:
        main(["train", "own-data", *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("astra: ")
    assert expected in error
    assert "│" not in error


def test_every_policy_can_be_named() -> None:
    from astra.cli.train import PolicyName
    from astra.policies import POLICIES

    assert set(get_args(PolicyName)) == set(POLICIES)


@pytest.mark.parametrize("name", ["gato", "vima", "flamingo", "decision-transformer", "diffusion", "astra"])
@pytest.mark.parametrize("experiment", ["pusht-expert", "vima-bench"])
def test_another_policy_keeps_encoders_width_and_the_size_of_the_trunk(name: str, experiment: str) -> None:
    from astra.cli.flags.policy import with_policy
    from astra.experiments import EXPERIMENTS
    from astra.policies import POLICIES
    from astra.policies.sizes import trunk_parameters
    from astra.tokenizers.language.config import LanguageConfig

    old = EXPERIMENTS[experiment].make()
    changed, note = with_policy(old, name)
    new = cast(Any, changed)
    assert name in note
    assert type(changed.policy) is POLICIES[name]
    assert replace(new, policy=old.policy) == old
    for kept in ("width", "heads", "states", "language", "actions", "window", "dropout", "soft_labels"):
        assert getattr(new.policy, kept) == getattr(old.policy, kept)
    if name in ("gato", "decision-transformer", "diffusion"):
        assert new.policy.layers == old.policy.layers
    absolute = replace(old, policy=replace(old.policy, reference_state=None))
    plain = [replace(each.policy, language=LanguageConfig()) for each in (absolute, with_policy(absolute, name)[0])]
    before, after = map(trunk_parameters, plain)
    assert 0.6 < after / before < 1.4
    for layers in {max(plain[1].layers - 1, 1), plain[1].layers + 1}:
        assert abs(trunk_parameters(replace(plain[1], layers=layers)) - before) >= abs(after - before)
    new.policy.decoding.check(new.policy.chunk_size)


def test_rt1_keeps_width_and_heads() -> None:
    from astra.cli.flags.policy import with_policy
    from astra.experiments import EXPERIMENTS

    old = EXPERIMENTS["pusht-expert"].make()
    new, _ = with_policy(old, "rt1")
    assert (new.policy.width, new.policy.heads, new.policy.head_width) == (128, 4, 32)
    assert new.policy.image_size == old.policy.states.images.image_size


def test_actions_can_be_continuous_or_discrete_and_nothing_else_changes() -> None:
    from astra.cli.flags.policy import with_actions
    from astra.experiments import EXPERIMENTS
    from astra.tokenizers.actions import DiscreteActionsConfig

    discrete = EXPERIMENTS["pusht-human"].make()
    assert with_actions(discrete, "discrete") is discrete
    assert with_actions(discrete, "continuous") == EXPERIMENTS["pusht-human-continuous"].make()
    back = with_actions(with_actions(discrete, "continuous"), "discrete").policy
    assert isinstance(back.actions, DiscreteActionsConfig)
    changed = {
        field.name for field in fields(back) if getattr(back, field.name) != getattr(discrete.policy, field.name)
    }
    assert changed <= {"actions", "soft_labels", "decoding"}


def test_a_policy_and_seeds_are_chosen_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from astra.cli.main import main
    from tests.cli.test_pipeline import write_demonstrations

    data = write_demonstrations(tmp_path / "data")
    size = ["--policy.layers", "1", "--policy.heads", "1", "--policy.width", "16", "--training.batch-size", "4"]
    length = ["--training.updates", "2", "--training.max-minutes", "None", "--training.checkpoint-every", "2"]
    chosen = ["--policy", "gato", "--policy.actions", "continuous", "--seeds", "3", "5"]
    run = tmp_path / "runs"
    arguments = ["train", "own-data", "--dataset", str(data), "--output", str(run), *size, *length, *chosen]
    assert main(arguments) == 0
    assert "policy: gato" in capsys.readouterr().out
    for seed in (3, 5):
        config = json.loads((run / str(seed) / "config.json").read_text())
        assert config["policy"]["kind"] == "GatoConfig"
        assert config["policy"]["actions"]["kind"] == "ContinuousActionsConfig"
        assert config["training"]["seed"] == seed
    assert sorted(path.name for path in run.iterdir()) == ["3", "5"]


@pytest.mark.parametrize(
    ("seeds", "message"), [(["1", "1"], "different numbers"), (["-1", "2"], "--seeds"), ([], "has no number behind it")]
)
def test_seeds_that_cannot_be_run_folders_are_refused(
    seeds: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from astra.cli.main import main

    with contextlib.suppress(SystemExit):
        assert main(["train", "own-data", "--output", str(tmp_path / "run"), "--seeds", *seeds]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
