import dataclasses

import pytest


def names() -> list[str]:
    from astra.experiments import EXPERIMENTS

    return list(EXPERIMENTS)


@pytest.mark.parametrize("name", names())
def test_every_experiment_is_rebuilt_from_its_json_and_its_positions_fit_its_window(name: str) -> None:
    from astra.experiments import EXPERIMENTS
    from astra.policies.astra import AstraConfig
    from astra.storage.config_json import from_json, to_json
    from astra.training.config import TrainingConfig

    made = EXPERIMENTS[name].make()
    assert from_json(AstraConfig, to_json(made.policy)) == made.policy
    assert from_json(TrainingConfig, to_json(made.training)) == made.training
    made.policy.check_positions()


@pytest.mark.parametrize("name", names())
def test_the_notes_of_every_experiment_say_how_to_make_its_demonstrations(name: str) -> None:
    from astra.experiments import EXPERIMENTS

    named = EXPERIMENTS[name]
    assert str(named.make().dataset) in named.notes + named.family_notes


@pytest.mark.parametrize("name", names())
def test_rollouts_in_training_play_no_episode_of_an_evaluation(name: str) -> None:
    from astra.environments.calvin.sampling import LIST
    from astra.experiments import EXPERIMENTS
    from astra.suites.config import EvaluationConfig

    rollouts, evaluation = EXPERIMENTS[name].make().rollouts, EvaluationConfig()
    repeats = LIST if name.startswith("calvin") else 2**32  # in CALVIN the seed is the number of a chain
    played = [{(config.seed + n) % repeats for n in range(200)} for config in (rollouts, evaluation)]
    assert not played[0] & played[1]


def test_list_is_complete_and_every_run_has_a_note() -> None:
    from astra.experiments import EXPERIMENTS

    assert len(names()) == 31
    for named in EXPERIMENTS.values():
        assert named.notes
        assert named.row
        assert dataclasses.is_dataclass(named.make())


def test_every_note_is_the_docstring_of_its_function() -> None:
    import importlib
    import inspect

    from astra.experiments import EXPERIMENTS

    for named in EXPERIMENTS.values():
        function = getattr(importlib.import_module(named.make.module), named.make.name)
        assert named.notes == inspect.getdoc(function)


def test_a_function_that_does_not_exist_is_refused() -> None:
    from astra.lazy_function import LazyFunction

    with pytest.raises(ValueError, match="has no function 'pushed'"):
        _ = LazyFunction("astra.experiments.pusht", "pushed").docstring
    with pytest.raises(ValueError, match=r"no module astra\.experiments\.pushed"):
        _ = LazyFunction("astra.experiments.pushed", "pushed").docstring


def test_no_experiment_ends_by_the_clock() -> None:
    from astra.experiments import EXPERIMENTS

    for name, named in EXPERIMENTS.items():
        training = named.make().training
        assert training.max_minutes is None, name
        assert training.updates < 10**6, name


def test_the_experiment_after_pretraining_differs_from_the_row_it_is_compared_with_only_in_where_it_begins() -> None:
    from pathlib import Path

    from astra.experiments.contrastive import PRETRAINING, tabletop_pretrained, tabletop_pretraining
    from astra.paper import TABLES
    from astra.paper.table import experiment_of

    table = TABLES["contrast-limited"]()
    rows = {row.key: row for row in table.rows}
    alone, tuned = (
        experiment_of(rows[key], "cpu", table.settings_at("cpu"), 0, Path("data"))
        for key in ("augmentation-alone", "cdl-tuned")
    )
    pretraining, pretrained = tabletop_pretraining(), tabletop_pretrained()
    assert pretrained.training.init_from == PRETRAINING
    states = dataclasses.replace(alone.policy.states, reads=None)  # the data have nothing else to read
    alone = dataclasses.replace(alone, policy=dataclasses.replace(alone.policy, states=states), suite="")
    without = dataclasses.replace(pretrained.training, init_from=None)
    assert dataclasses.replace(pretrained, training=without) == alone
    contrast = pretraining.training.contrastive
    assert contrast is not None
    assert (pretraining.policy, pretraining.dataset) == (alone.policy, alone.dataset)
    assert (
        dataclasses.replace(contrast, begin=0.1, fade=True, cdl_fraction=0.25, contrastive_only=False)
        == tuned.training.contrastive
    )
