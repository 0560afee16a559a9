"""`astra evaluate RUN [--suite NAME]`: measure a trained policy in a suite."""

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

from astra.cli.flags.scan import value_of
from astra.cli.parse import parse
from astra.screen import screen
from astra.storage.numbers import NotNegative, Tokens, check_numbers
from astra.suites.config import AgentName, EvaluationConfig

if TYPE_CHECKING:
    from astra.environments.suite import Suite

USAGE = "astra evaluate RUN [--suite NAME] [--option value ...]; RUN --help lists the options"


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained policy in a benchmark suite, with intervals, videos and pictures.

    `astra evaluate RUN --help` also lists the options of the run's suite.
    """

    checkpoint: tyro.conf.Positional[Path]
    """A run, one of its checkpoints, a policy's folder, or a folder with one run per training seed."""
    suite: str = ""
    """Name of a suite, or MODULE:FUNCTION of your own; empty: the suite of the policy's demonstrations."""
    output: Path | None = None
    """Folder of the results; None: eval/ in the run or in the policy's folder."""
    statistics: str = ""
    """Dataset of a mixture that was trained with --statistics own, in whose units the policy observes and acts; empty:
    the first one."""
    temperature: NotNegative | None = None
    """Temperature at which actions are sampled; 0: no sampling. None: as saved with the policy."""
    bin_value: Literal["mode", "mean"] | None = None
    """Action at temperature 0: the most likely bin, or the mean of all bins. None: as saved with the policy."""
    n_action_steps: Tokens | None = None
    """Number of actions of a chunk that are executed before the next prediction; None: as saved with the policy."""
    evaluation: Annotated[EvaluationConfig, tyro.conf.arg(name="")] = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names its flag.
        """
        check_numbers(self, "")


def run(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        FileNotFoundError: if there is no policy.
        ValueError: if the policy is damaged or does not fit the suite, or the suite has no such level, task or agent.
    """
    if arguments and arguments[0] in ("-h", "--help", "--help-all"):
        parse(Evaluate, "evaluate", arguments)  # the options that all suites share
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(f"expected a run first: {USAGE}")
    from astra.evaluation.seeds import aggregate, seed_runs
    from astra.parallel.processes import in_main, is_main_process

    runs = seed_runs(Path(arguments[0]))
    if not runs:
        _evaluate(arguments)
        return
    if value_of("--output", arguments) is not None:
        raise ValueError(f"{arguments[0]} holds one run per seed, whose results lie in its eval/: leave out --output")
    evaluated = [_evaluate([str(run), *arguments[1:]]) for run in runs.values()]
    counts = {suite.success for suite, _ in evaluated}
    folder = Path(arguments[0]) / "eval"
    summaries = in_main(lambda: aggregate(runs, folder, agents=evaluated[0][1]))
    if is_main_process():
        from astra.evaluation.result_table import ResultTable, recovery_lines

        print(f"all training seeds: {', '.join(map(str, runs))}")
        screen().print(ResultTable(summaries))
        for line in recovery_lines(summaries):
            screen().print(line)
        for told in counts:
            screen().print(f"success counts {told} of an episode")
        print(f"results: {folder}")


def _evaluate(arguments: Sequence[str]) -> tuple["Suite", tuple[str, ...]]:
    """Evaluate one run, and return the suite in which it was measured, and the names of the agents."""
    import torch

    from astra.environments.suite import suite_of
    from astra.evaluation.eval_info import check_place_of_results
    from astra.evaluation.result_table import ResultTable, group_table, recovery_lines
    from astra.parallel.processes import is_main_process
    from astra.policies.checkpoint import load_policy, policy_folder
    from astra.storage.places import check_place
    from astra.storage.provenance import code_version
    from astra.suites.evaluate_suite import evaluate_suite

    checkpoint = str(_named_by_update(policy_folder(arguments[0])))
    policy = load_policy(arguments[0], statistics=value_of("--statistics", arguments) or "")
    suite = suite_of(policy.spec, value_of("--suite", arguments) or "")
    # The options that fit the policy are the defaults of the suite's flags.
    options = (
        "options",
        Annotated[suite.options, tyro.conf.arg(name="")],
        field(default=suite.options_for(policy.spec)),
    )
    kind = make_dataclass("Evaluate", [options], bases=(Evaluate,), frozen=True, kw_only=True)
    kind.__doc__ = Evaluate.__doc__
    chosen: Any = parse(kind, "evaluate", arguments)
    folder = chosen.output or Path(arguments[0]) / "eval"
    check_place(folder, "choose another folder for the results with --output")
    if chosen.output is not None:
        check_place_of_results(folder, get_args(AgentName))
    torch.set_num_threads(1)  # batches of a few environments gain nothing from more
    changes = {name: getattr(chosen, name) for name in vars(policy.decoding)}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes:
        policy.decode_with(replace(policy.decoding, **changes))
    provenance: dict[str, Any] = {"code_version": code_version(), "checkpoint": checkpoint}
    provenance |= vars(policy.decoding)
    evaluations = evaluate_suite(
        policy, suite, folder, chosen.evaluation, options=chosen.options, provenance=provenance
    )
    if is_main_process():
        summaries = {name: evaluation.summary for name, evaluation in evaluations.items()}
        screen().print(ResultTable(summaries))
        for line in recovery_lines(summaries):
            screen().print(line)
        screen().print(f"success counts {suite.success} of an episode")
        if table := group_table({name: evaluation.results for name, evaluation in evaluations.items()}):
            screen().print(table)
        print(f"results: {folder}")
    return suite, tuple(evaluations)


def _named_by_update(folder: Path) -> Path:
    """Return the folder of a policy with the checkpoint's own name in the place of a link, such as `last`."""
    return folder.parent.parent / folder.parent.readlink() / folder.name if folder.parent.is_symlink() else folder
