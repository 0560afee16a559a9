"""A table of the paper as data: its rows, the settings that all rows share, and the numbers that the paper printed.

A row is a size of a policy (`astra.policies.sizes`) and little more. Everything else is one `Settings` object for the
whole table: encoders, bins, dropout, label smoothing, decoding, data, updates, episodes. A setting that helps one row
is given to all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from astra.demonstrations.recipe import Demonstrations
from astra.experiments.experiment import Experiment
from astra.paper.question import Question
from astra.policies.policy import PolicyConfig
from astra.policies.sequence import SequenceConfig
from astra.policies.sizes import SIZES, trunk_parameters
from astra.suites.config import AgentName, EvaluationConfig
from astra.tokenizers.states import StateConfig
from astra.training.config import TrainingConfig

Scale = Literal["cpu", "paper"]
Sees = Literal["image", "patches", "objects"]
"""Visual tokens of a row: one per frame, one per patch of a frame, or one per object."""

SHARED_FIELDS = ("window", "dropout", "soft_labels", "language", "states", "actions", "decoding")
"""Fields of the policy configuration that every row takes from the table; the others belong to the row's size."""
EQUAL_TIME = "-equal-time"
"""Suffix of the folders of tables whose rows get the same time instead of the same updates."""
UNTRAINED = ("expert", "no-op")
"""Agents whose episodes do not depend on the training beside which they are measured."""
OBJECTIVES = frozenset({"contrastive", "augmentation"})
"""Fields of the training that a row may change: they change the objective, not the budget."""
CONTROLS_SEED = 0
"""Training seed whose runs measure the controls: the expert is the same with each, and one is enough for the rest."""
RECOVERY = "recovery"
"""Score of a column: success in those episodes in which an action missed."""
ATTEMPTS, BETWEEN = "attempts", "between attempts"
"""Scores of a column: attempts per episode, such as grasps; and timesteps from one to the next, if there are more."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Column of a table: one number of every row, in percent unless its scale says otherwise."""

    name: str
    group: str = ""
    """Group of the episodes that count, such as a level; empty: all episodes."""
    tasks: tuple[str, ...] = ()
    """Tasks of the episodes that count, such as the easy ones; empty: all tasks."""
    score: str = "success"
    """Score that is averaged over episodes: success, one of the environment's scores, or ATTEMPTS; or a mean over some
    episodes only, which is not paired: RECOVERY, the share of those with a miss that succeeded, or BETWEEN."""
    scale: float = 100.0
    """Factor by which the score is multiplied; 1 where it is no share, such as a number of tasks."""
    held_out: bool = False
    """Whether the number is the loss of the first action on held-out demonstrations instead, in nats."""

    @property
    def share(self) -> bool:
        """Whether it is a share of episodes, or of what an episode asks for, in percent."""
        return not self.held_out and self.scale == 100

    @property
    def of_some_episodes(self) -> bool:
        """Whether some episodes do not count, others for each row and seed."""
        return self.score in (RECOVERY, BETWEEN)

    @property
    def digits(self) -> int:
        """Number of decimals that are shown."""
        return 3 if self.held_out else 2 if self.scale == 1 else 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """Row of a table: one policy."""

    name: str
    attention: str = ""
    """Kind of attention, in the paper's words."""
    sizes: Mapping[Scale, str] = field(default_factory=dict)
    """Name of a size in `astra.policies.sizes`, by scale; a row without one is shown but not run."""
    sees: Sees | None = None
    """Visual tokens of a state; None: all that the dataset has."""
    policy_changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the policy configuration that define the row, such as {"action_queries": False}."""
    lacks: tuple[str, ...] = ()
    """Shared fields that its policy does not have by design, such as states for RT-1, which sees frames only."""
    training_changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the training that define the row: only `contrastive` and `augmentation`; and the length of windows, as
    long as all rows learn from equally many timesteps: `timesteps` where losses count the last one of a window, else
    `timesteps` and `batch_size` with the same product."""
    paper: tuple[float | None, ...] = ()
    """Numbers in the paper, in the order of the columns."""
    needs_history: bool = False
    """Whether it sees a history and learns from windows of neighboring timesteps, as the settings say, where others see
    and learn from single ones."""
    quoted: bool = False
    """Whether the paper took the numbers from other papers; such a row is shown but not run."""
    added: bool = False
    """Whether the row is ours: the paper does not have it."""
    baseline: str | None = None
    """Key of the row that is subtracted from this one; None: as the table says."""
    cost: float = 1.0
    """CPU time of an update divided by that of the row Astra, as `astra.profiling.rows` measures it. With --equal time
    a row gets that many times fewer updates."""
    own_loss: bool = False
    """Whether its loss has another unit than that of the other rows, as diffusion's has; losses then do not compare."""
    same_runs_as: str = ""
    """TABLE/ROW whose runs count for this row too, because the settings are equal; empty: own runs."""
    agent: AgentName = "policy"
    """Agent that the row shows: the policy, or a control that is measured beside the policy of `runs_of`."""
    runs_of: str = ""
    """Key of the row in whose runs another agent than the policy is measured; such a row has no runs of its own."""

    @property
    def key(self) -> str:
        """Name of the row on the command line and of its folder of results."""
        words = self.name.lower().replace("*", " objects").replace(",", " ").replace("/", "").split()
        return "-".join(words)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that all rows share at one scale: the frozen budget."""

    environment: str
    """Name of the environment, for the reader."""
    demonstrations: Demonstrations
    shared: SequenceConfig
    """Policy configuration whose fields in `SHARED_FIELDS` every row takes."""
    trunks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields that differ from the named size in this table, such as {"astra-small": {"layers": 3}}."""
    training: TrainingConfig
    """Training of every row; each run sets its own seed."""
    suite: str
    """Name of the suite in which every row is measured."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the suite that differ from those that fit the policy."""
    evaluation: EvaluationConfig
    """Evaluation of every row, on the same episodes."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the policy in rows that need a history, where others have none."""
    windows: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the training in these rows, as `Row.training_changes` may make them."""
    observations: tuple[str, ...] = ()
    """Columns of the dataset that rows may see; empty: all."""
    stride: int = 1
    """Timesteps between the starts of neighboring windows."""
    validation: float = 0.05
    """Share of the demonstrations that is held out."""
    minutes: float
    """Expected minutes of training per run on one device. With --equal time this is the budget, unless the table knows
    the cost of its rows."""
    evaluation_minutes: float
    """Expected minutes of evaluation per run and agent."""
    device: str = "core"
    """Device on which those minutes count."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper, or one like it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    settings: Mapping[Scale, Callable[[], Settings]] = field(default_factory=dict)
    refused: str = ""
    """Reason why it cannot be run at the scales that have no settings."""
    reference: str | None = None
    """Key of the row that is subtracted from all others; None: the row above."""
    paper_environment: str = ""
    """Environment of the paper's numbers."""
    notes: tuple[str, ...] = ()
    """Notes that a reader of the table needs."""
    questions: tuple[Question, ...] = ()
    """Questions that the table decides."""
    parent: str = ""
    """Folder that holds those of the table, such as claims; empty: none."""

    def row(self, key: str) -> Row:
        """Return the row with a key.

        Raises:
            ValueError: if there is none; it lists the keys.
        """
        for row in self.rows:
            if row.key == key:
                return row
        raise ValueError(f"{self.name} has no row {key!r}; it has {', '.join(row.key for row in self.rows)}")

    @property
    def knows_costs(self) -> bool:
        """Whether the cost of rows was measured, so that equal time is given as a number of updates."""
        return any(row.cost != 1 for row in self.rows)

    def agents_in(self, row: Row, seed: int) -> tuple[AgentName, ...]:
        """Return the controls that a row's run measures beside the agents of the settings: with seed 0 alone."""
        if seed != CONTROLS_SEED:
            return ()
        return tuple(dict.fromkeys(other.agent for other in self.rows if other.runs_of == row.key))

    def baseline_of(self, row: Row, scale: Scale) -> Row | None:
        """Return the row that is subtracted from this one; None for the reference itself, and for the first row.

        A baseline that has no size at this scale gives way to the reference.
        """
        named = None if row.baseline is None else self.row(row.baseline)
        if named and (scale in named.sizes or not named.sizes):
            return named
        if self.reference is None:
            place = self.rows.index(row)
            return self.rows[place - 1] if place else None
        return None if row.key == self.reference else self.row(self.reference)

    def settings_at(self, scale: Scale) -> Settings:
        """Return the shared settings at a scale.

        Raises:
            ValueError: if the table cannot be run at this scale, with the reason.
        """
        if scale not in self.settings:
            raise ValueError(
                f"{self.name} cannot be run at {scale} scale: {self.refused}; use --only-report to show the paper's "
                f"numbers"
            )
        return self.settings[scale]()


def folder_of_runs(table: Table, row: Row, folder: Path) -> Path:
    """Return the folder of a row's runs, given the table's folder: inside it, or in the folder of another table.

    A row of cost 1 gets the same updates with equal time as with equal updates, so its runs are shared. A control is
    measured in the runs of another row, whose cost counts.
    """
    name = folder.name
    if table.knows_costs and (table.row(row.runs_of) if row.runs_of else row).cost == 1:
        name = name.removesuffix(EQUAL_TIME)
    other, _, key = row.same_runs_as.partition("/")
    if other:
        name = name.replace(table.name, other, 1)
    return folder.with_name(name) / (key or row.runs_of or row.key)


def obstacle(row: Row, scale: Scale) -> str:
    """Return the reason why a row cannot be run at a scale; empty: it can."""
    if row.quoted:
        return "quoted from other papers"
    if row.runs_of:
        return f"is measured in the runs of {row.runs_of}, with seed {CONTROLS_SEED}"
    if scale not in row.sizes:
        return f"has no {scale}-scale size"
    if all(size.name != row.sizes[scale] for size in SIZES):
        return f"waits for the policy {row.sizes[scale]}"
    return ""


def policy_of(row: Row, scale: Scale, settings: Settings) -> PolicyConfig:
    """Return a row's policy configuration: its own size, the shared fields, and the changes that define the row.

    Raises:
        ValueError: if the row cannot be run at this scale, or its policy lacks a shared field.
    """
    if reason := obstacle(row, scale):
        raise ValueError(f"the row {row.key} cannot be run: it {reason}")
    config: Any = next(size for size in SIZES if size.name == row.sizes[scale]).make()
    known = {each.name for each in fields(config)}
    names = [name for name in SHARED_FIELDS if name not in row.lacks]
    if lacking := [name for name in (*names, *row.policy_changes) if name not in known]:
        raise ValueError(f"{type(config).__name__} of the row {row.key} has no {', '.join(lacking)}")
    shared = {name: getattr(settings.shared, name) for name in names}
    if row.sees is not None:
        shared["states"] = states_seen(settings.shared.states, row.sees)
    trunk = settings.trunks.get(row.sizes[scale], {})
    history = settings.history if row.needs_history else {}
    return replace(config, **{**trunk, **shared, **history, **row.policy_changes})


def states_seen(states: StateConfig, sees: Sees) -> StateConfig:
    """Return the table's state tokenizers, limited to one kind of visual token."""
    if sees == "objects":
        return replace(states, reads=("vectors", "objects"))
    tokens = "camera" if sees == "image" else "patches"
    return replace(states, reads=("vectors", "images"), images=replace(states.images, tokens=tokens))


def trunk_size(table: Table, row: Row, scale: Scale) -> int | None:
    """Count the parameters of a row's trunk; None: the row cannot be run."""
    if scale not in table.settings or obstacle(row, scale):
        return None
    return trunk_parameters(policy_of(row, scale, table.settings[scale]()))


def training_of(row: Row, settings: Settings, seed: int) -> TrainingConfig:
    """Return the shared training with a seed and the changes that define the row.

    Raises:
        ValueError: if the row changes the budget.
    """
    changes = {**(settings.windows if row.needs_history else {}), **row.training_changes}
    shared, changed = settings.training, replace(settings.training, seed=seed, **changes)
    allowed = OBJECTIVES
    if shared.last_timestep_only:
        allowed |= {"timesteps"}
    elif changed.timesteps * changed.batch_size == shared.timesteps * shared.batch_size:
        allowed |= {"timesteps", "batch_size"}
    if more := sorted(changes.keys() - allowed):
        raise ValueError(f"the row {row.key} changes {', '.join(more)} of the training, which all rows share")
    return changed


def experiment_of(row: Row, scale: Scale, settings: Settings, seed: int, data: Path) -> Experiment:
    """Return the experiment that trains a row with one seed; `data` is the folder of datasets."""
    return Experiment(
        dataset=data / settings.demonstrations.name,
        observations=settings.observations,
        validation=settings.validation,
        suite=settings.suite,
        stride=settings.stride,
        policy=policy_of(row, scale, settings),
        training=training_of(row, settings, seed),
    )
