"""What a comparison is: the rows of a table, what all of them share, and what the paper printed.

A row is a size of a policy (`astra.policies.sizes`) and little more. Whatever decides beside the architecture is one
object for the whole table, from which every row is made: encoders, bins, dropout, label smoothing, decoding, data,
updates, episodes. So what helps one row is given to all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from astra.experiments.experiment import Experiment
from astra.policies.policy import PolicyConfig
from astra.policies.sequence import SequenceConfig
from astra.policies.sizes import SIZES, trunk_parameters
from astra.suites.config import EvaluationConfig
from astra.tokenizers.states import StateConfig
from astra.training.train import TrainingConfig

Scale = Literal["cpu", "paper"]
Sees = Literal["image", "patches", "objects"]
"""A frame as one token, a frame as one token per patch, or one token per object."""

GIVEN_TO_ALL = ("window", "dropout", "soft_labels", "language", "states", "actions", "decoding")
"""Fields of a policy's configuration that every row takes from the table; the rest is the row's own size."""


EQUAL_TIME = "-equal-time"
"""How folders end of tables whose rows get the same time instead of the same updates."""
OBJECTIVES = frozenset({"contrastive", "augmentation"})
"""Fields of the training that a row may change: what it learns by, and not for how long."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of every row, in percent."""

    name: str
    group: str = ""
    """Group of episodes that count, such as a level; empty: all."""
    score: str = "success"
    """What is averaged over episodes: success, or one of the environment's scores."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy of a table."""

    name: str
    attention: str = ""
    """Kind of attention, as the paper names it."""
    sizes: Mapping[Scale, str] = field(default_factory=dict)
    """By scale, the name of a size in `astra.policies.sizes`; without one the row is only shown."""
    sees: Sees | None = None
    """What it reads of a state beside its vectors; None: all that the data have."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the policy's configuration that make the row what it is, such as {"action_queries": False}."""
    training_changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the training that make it so: `contrastive` and `augmentation` alone, since the rest is the budget."""
    paper: tuple[float | None, ...] = ()
    """The paper's numbers, in the order of the columns."""
    quoted: bool = False
    """Whether the paper took the numbers from elsewhere: such a row is only shown."""
    added: bool = False
    """Whether the row is ours and not in the paper."""
    against: str | None = None
    """Row from which the difference is taken; None: as the table says."""
    cost: float = 1.0
    """CPU time of an update, over one of the row Astra, as `astra.profiling.rows` measures it. Where a row costs more
    than 1, --equal time gives it so many fewer updates."""
    runs_of: str = ""
    """TABLE/ROW whose runs are this row's too, since nothing differs; empty: it has runs of its own."""

    @property
    def key(self) -> str:
        """The name on the command line and of the folder of results."""
        words = self.name.lower().replace("*", " objects").replace(",", " ").replace("/", "").split()
        return "-".join(words)


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """The dataset of a table and the command that makes it."""

    name: str
    """Folder inside the folder of datasets."""
    command: str
    """Makes it in data/."""
    collect: Callable[[Path], object] | None = None
    """Makes it in the folder that is given; None where something must be downloaded first."""
    needs: str = ""
    """What must be downloaded first."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all rows have in common at one scale: the frozen budget."""

    world: str
    """Where policies act, in words."""
    demonstrations: Demonstrations
    shared: SequenceConfig
    """Its fields named in `GIVEN_TO_ALL` are those of every row."""
    trunks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the name of a size, fields of it that differ here, such as {"astra-small": {"layers": 3}}."""
    training: TrainingConfig
    """Of every row; the seed is the run's."""
    suite: str
    """Name of the suite in which every row is measured."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the suite that differ from those that fit the policy."""
    evaluation: EvaluationConfig
    """Of every row, with the same episodes."""
    observations: tuple[str, ...] = ()
    """Columns of the dataset from which every row takes what it sees; empty: all."""
    stride: int = 1
    """Timesteps between the starts of neighboring windows."""
    validation: float = 0.05
    """Share of the demonstrations that is held out."""
    minutes: float
    """Minutes of training to expect of one run on one device; with --equal time all that it gets, unless the table
    knows what its rows cost."""
    measuring_minutes: float
    """Minutes of measuring to expect."""
    device: str = "core"
    """On what those minutes are counted."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper, or one like it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    settings: Mapping[Scale, Callable[[], Settings]] = field(default_factory=dict)
    refused: str = ""
    """Why it cannot be run at the scales that it has no settings for."""
    reference: str | None = None
    """Row from which the others' differences are taken; None: from the row above."""
    paper_world: str = ""
    """Where the paper's numbers were measured."""
    notes: tuple[str, ...] = ()
    """What must be known to read it."""

    def row(self, key: str) -> Row:
        """Find a row by its key.

        Raises:
            ValueError: if there is none, naming those that there are.
        """
        for row in self.rows:
            if row.key == key:
                return row
        raise ValueError(f"{self.name} has no row {key!r}; it has {', '.join(row.key for row in self.rows)}")

    @property
    def knows_costs(self) -> bool:
        """Whether a row is known to cost more than others, so that equal time is told in updates."""
        return any(row.cost != 1 for row in self.rows)

    def against(self, row: Row) -> Row | None:
        """Give the row from which this one's difference is taken; None for the reference itself, and the first."""
        if row.against is not None:
            return self.row(row.against)
        if self.reference is None:
            place = self.rows.index(row)
            return self.rows[place - 1] if place else None
        return None if row.key == self.reference else self.row(self.reference)

    def settings_at(self, scale: Scale) -> Settings:
        """Give what all rows share at a scale.

        Raises:
            ValueError: if the table cannot be run at it, saying why.
        """
        if scale not in self.settings:
            raise ValueError(f"{self.name} cannot be run at {scale} scale: {self.refused}; --only-report shows it")
        return self.settings[scale]()


def folder_of_runs(table: Table, row: Row, folder: Path) -> Path:
    """Give the folder of a row's runs: in the table's own folder or, where they are those of another table, beside it.

    A row that costs 1 has had its equal time with equal updates.
    """
    name = folder.name
    if table.knows_costs and row.cost == 1:
        name = name.removesuffix(EQUAL_TIME)
    other, _, key = row.runs_of.partition("/")
    if other:
        name = name.replace(table.name, other, 1)
    return folder.with_name(name) / (key or row.key)


def obstacle(row: Row, scale: Scale) -> str:
    """Say why a row is only shown at a scale; empty: it can be run."""
    if row.quoted:
        return "quoted from elsewhere by the paper"
    if scale not in row.sizes:
        return f"has no {scale}-scale size"
    if all(size.name != row.sizes[scale] for size in SIZES):
        return f"waits for the policy {row.sizes[scale]}"
    return ""


def policy_of(row: Row, scale: Scale, settings: Settings) -> PolicyConfig:
    """Make a row's policy: its own size, the table's settings, and what makes the row what it is.

    Raises:
        ValueError: if the row cannot be run at this scale, or its policy has no place for a setting that all share.
    """
    if reason := obstacle(row, scale):
        raise ValueError(f"the row {row.key} cannot be run: it {reason}")
    config: Any = next(size for size in SIZES if size.name == row.sizes[scale]).make()
    known = {each.name for each in fields(config)}
    if lacking := [name for name in (*GIVEN_TO_ALL, *row.changes) if name not in known]:
        raise ValueError(f"{type(config).__name__} of the row {row.key} has no {', '.join(lacking)}")
    given = {name: getattr(settings.shared, name) for name in GIVEN_TO_ALL}
    if row.sees is not None:
        given["states"] = states_seen(settings.shared.states, row.sees)
    trunk = settings.trunks.get(row.sizes[scale], {})
    return replace(config, **{**trunk, **given, **row.changes})


def states_seen(states: StateConfig, sees: Sees) -> StateConfig:
    """Give the table's tokenizers of a state, reading one kind of visual token only."""
    if sees == "objects":
        return replace(states, reads=("vectors", "objects"))
    tokens = "camera" if sees == "image" else "patches"
    return replace(states, reads=("vectors", "images"), images=replace(states.images, tokens=tokens))


def trunk_size(table: Table, row: Row, scale: Scale) -> int | None:
    """Count the parameters of a row's trunk; None where the row cannot be run."""
    if scale not in table.settings or obstacle(row, scale):
        return None
    policy: Any = policy_of(row, scale, table.settings[scale]())
    return trunk_parameters(replace(policy, states=StateConfig()))  # of vectors alone: encoders are not the trunk


def training_of(row: Row, settings: Settings, seed: int) -> TrainingConfig:
    """Give the training that all rows share, with what makes the row what it is.

    Raises:
        ValueError: if the row would change the budget.
    """
    if more := sorted(row.training_changes.keys() - OBJECTIVES):
        raise ValueError(f"the row {row.key} changes {', '.join(more)} of the training, which all rows share")
    return replace(settings.training, seed=seed, **row.training_changes)


def experiment_of(row: Row, scale: Scale, settings: Settings, seed: int, data: Path) -> Experiment:
    """Make the experiment that trains a row with one seed on the dataset in a folder of datasets."""
    return Experiment(
        dataset=data / settings.demonstrations.name,
        observations=settings.observations,
        validation=settings.validation,
        suite=settings.suite,
        stride=settings.stride,
        policy=policy_of(row, scale, settings),
        training=training_of(row, settings, seed),
    )
