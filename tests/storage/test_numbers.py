"""Every number of every configuration declares the range that can work, and others are refused by name."""

import contextlib
import copy
import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import pytest

import astra
from astra.storage import numbers

OTHER_CHECKS = {
    ("DiscreteActionsConfig", "bins"),  # one number or one per dimension, at least 2
    ("PushTConfig", "goal"),  # a pose
    ("PushTOptions", "goals"),  # poses
    ("PushTDemonstrationOptions", "goals"),
}
"""Fields whose numbers have a check of their own."""
TRIED = (0, -1, 10**30, math.nan, math.inf)


def configurations() -> "Iterator[type]":
    """Find all dataclasses named *Config, the options of commands and of acting, in every module of the package."""
    for module in pkgutil.walk_packages(astra.__path__, "astra."):
        if module.name.split(".")[1] in {"profiling", "paper", "__main__"} and module.name != "astra.profiling.shapes":
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if not isinstance(thing, type) or not is_dataclass(thing) or thing.__module__ != module.name:
                continue
            if inspect.isabstract(thing):
                continue
            of_commands = thing.__module__.split(".")[1] == "cli" and thing.__name__ not in {"Flag", "Size"}
            if thing.__module__ == "astra.profiling.shapes" and thing.__name__ != "Shape":
                continue  # results
            others = thing.__name__ in {"Experiment", "Decoding"} or thing.__module__ == "astra.profiling.shapes"
            if thing.__name__.endswith(("Config", "Options")) or others or of_commands:
                yield thing


def is_number(annotation: Any) -> bool:
    """Whether an annotation allows a number; a bool is none."""
    return annotation in (int, float) or any(map(is_number, get_args(annotation)))


def made(config: type) -> Any:
    """Return an instance with defaults."""
    needed = {"CollectConfig": {"episodes": 1, "output": Path("new")}, "Experiment": {"dataset": Path("data")}}
    needed |= {"Evaluate": {"checkpoint": Path("run")}, "Export": {"checkpoint": Path("run"), "output": Path("new")}}
    needed["Train"] = {"experiment": None}
    return config(**needed.get(config.__name__, {}))


def test_every_number_is_accepted_by_its_declaration_or_refused_by_name() -> None:
    from astra.storage.numbers import declared_ranges

    tried = set()
    for config in set(configurations()):
        plain, ranges, hints = made(config), declared_ranges(config), get_type_hints(config)
        for name in [field.name for field in fields(config) if is_number(hints[field.name])]:
            if (config.__name__, name) in OTHER_CHECKS:
                continue
            assert name in ranges, f"{config.__name__}.{name} declares no range"
            tried.add((config.__name__, name))
            for number in TRIED:
                tuple_only = isinstance(getattr(plain, name), tuple)
                value = (number,) * max(1, len(getattr(plain, name))) if tuple_only else number
                changed = copy.copy(plain)
                object.__setattr__(changed, name, value)  # the type checks of the tests would refuse NaN as an int
                if any(allowed.holds(number) for allowed in ranges[name]):
                    changed.__post_init__()
                else:
                    with pytest.raises(ValueError, match=f"{name}|{name.replace('_', '-')}"):
                        changed.__post_init__()
    assert len(tried) > 80


@pytest.mark.parametrize("bins", [0, 1, -1, (100, 1), (), 10**9])
def test_bins_are_at_least_two_and_not_too_many(bins: Any) -> None:
    from astra.tokenizers.actions import DiscreteActionsConfig

    with pytest.raises(ValueError, match="bins"):
        DiscreteActionsConfig(bins=bins)


def test_the_message_names_the_field_and_its_flag() -> None:
    from astra.training.config import TrainingConfig

    with pytest.raises(ValueError, match=r"^training\.batch_size .* at least 1, got 0: change --training\.batch-size$"):
        TrainingConfig(batch_size=0)


def test_the_heads_divide_the_width() -> None:
    from astra.policies.astra import AstraConfig

    with pytest.raises(ValueError, match=r"policy\.width must be a multiple of policy\.heads=5, got 192"):
        AstraConfig(heads=5)


@pytest.mark.parametrize("share", [1.5, 7.0, -0.1, math.nan])
def test_shares_beyond_one_are_refused_by_name(share: float) -> None:
    from astra.augmentation.pictures import AugmentationConfig
    from astra.environments.pusht.suite import PushTDemonstrationOptions
    from astra.policies.astra import AstraConfig

    with pytest.raises(ValueError, match=r"policy\.dropout must be at least 0 and below 1"):
        AstraConfig(dropout=share)
    with pytest.raises(ValueError, match=r"disturbance must be at least 0 and at most 1"):
        PushTDemonstrationOptions(disturbance=share)
    with pytest.raises(ValueError, match=r"brightness must be at least 0 and below 1"):
        AugmentationConfig(brightness=share)


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("inspect mask --prompt 1 --states 1 --actions 1 --timesteps 1 --window BIG", "--window"),
        ("inspect mask --prompt 1 --states 0 --actions 1 --timesteps 1", "--states"),
        ("inspect mask --prompt 1 --states 999999 --actions 1 --timesteps 999999", "--timesteps"),
        ("inspect open-loop nowhere --episodes BIG", "--episodes"),
        ("inspect gradient-interference nowhere --batches BIG", "--batches"),
        ("inspect tabletop --controls BIG", "--controls"),
        ("inspect tabletop --workers 0", "--workers"),
        ("report nowhere --held-out -1", "--held-out"),
        ("report nowhere --held-out 0 --dataset nowhere", "--dataset"),
        ("collect pusht --episodes 1 --output nowhere --workers BIG", "--workers"),
        ("compare table1 --dry-run --seeds BIG", "--seeds"),
        ("benchmark --rounds BIG", "--rounds"),
    ],
)
def test_numbers_of_commands_are_refused_by_their_flag(
    line: str, flag: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.cli.main import main

    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(SystemExit):
        assert main(line.replace("BIG", "9" * 30).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("astra: ")
    assert flag in error


@pytest.mark.parametrize(("choice", "right"), [("mode", True), ("median", False), (None, True), (0, False)])
def test_a_choice_that_is_not_declared_is_refused_by_name(choice: Any, right: bool) -> None:
    from astra.storage.numbers import check_numbers

    @dataclass(frozen=True)
    class Acting:
        value: Literal["mode", "mean"] | None = None
        words: tuple[Literal["a"], ...] = ()
        rest: Any = "anything"

    expected = contextlib.nullcontext()
    if not right:
        expected = pytest.raises(ValueError, match=f"policy.value must be one of mode, mean, None, got {choice!r}")
    with expected:
        check_numbers(Acting(value=choice), "policy")


@pytest.mark.parametrize(
    ("annotation", "number", "told"),
    [
        (numbers.Positive, math.inf, "above 0 and finite"),
        (numbers.Positive, -1.0, "above 0"),
        (numbers.Share, math.inf, "at least 0 and below 1"),
        (numbers.Finite, math.nan, "a finite number"),
    ],
)
def test_infinity_is_not_told_to_be_above_zero(annotation: Any, number: float, told: str) -> None:
    (declared,) = annotation.__metadata__
    assert not declared.holds(number)
    assert declared.told(number) == told
