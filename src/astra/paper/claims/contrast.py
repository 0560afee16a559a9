"""Does contrastive dynamics learning (CDL) pay when it is set fairly? Two tables.

The first has few demonstrations and chooses the checkpoint with the lowest held-out loss for all rows, where cloning
was expected to overfit before training ends, so that a regularizer has something to gain. The second has windows of
several timesteps, where there is a dynamics to learn. All rows embed past actions as numbers, since CDL otherwise has
to learn the order of bins first. CDL augments what it compares, so the tuned rows are compared with augmentation alone,
and like that row they clone augmented data too: they differ in the contrastive loss alone. The constants and bounds
were committed before the first run. Results: results/claims/, docs/claims.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.demonstrations.recipe import collected
from astra.environments.tabletop.suite import SUITE
from astra.experiments.contrastive import NORMALIZED
from astra.experiments.tabletop import SHORT_TASKS, SUCTION_NUMBERS, TOP, fast_training, small_policy
from astra.paper.claims.history import LOSS, tabletop_with_slips
from astra.paper.question import Question
from astra.paper.table import Column, Row, Settings, Table
from astra.suites.config import EvaluationConfig
from astra.training.config import HELD_OUT_LOSS

DEMONSTRATIONS = 12_000
"""So few that cloning is expected to overfit. With AdamW and augmentation it did not within 4,000 updates
(results/claims/contrast-limited-cpu-adamw), so the table is trained with Muon."""
TUNED = replace(NORMALIZED, begin=0.1, fade=True)
"""The contrast of `NORMALIZED`, with a weight that is 0 for 10 % of the run and then falls from 0.1 to 0."""
AUGMENTED: Mapping[str, Any] = {"augmentation": AugmentationConfig()}
LEVELS = tuple(Column(name=level, group=level) for level in ("L1", "L2", "L3"))
PAYS = {"loss": -0.03, "points": 3.0}
"""Differences for a yes: of the loss of the next action in nats, and of success in points."""

astra = partial(Row, attention="trajectory", sees="objects", sizes={"cpu": "astra-small"})


def contrast_limited() -> Table:
    """Return the first table on CDL: does it pay with few demonstrations, at the best checkpoint of each row?"""
    alone = astra(name="augmentation alone", training_changes=AUGMENTED)
    tuned = astra(name="CDL, tuned", training_changes={**AUGMENTED, "contrastive": TUNED}, baseline=alone.key)
    scored = {**AUGMENTED, "contrastive": replace(TUNED, score="alone")}
    return Table(
        name="contrast-limited",
        parent="claims",
        title=f"Tabletop, four tasks, {DEMONSTRATIONS:,} demonstrations, 4,000 updates: does CDL pay?",
        columns=(LOSS, *LEVELS),
        rows=(
            astra(name="cloning"),
            alone,
            astra(name="CDL as in the paper", training_changes={"contrastive": ContrastiveConfig()}),
            tuned,
            astra(name="CDL, tuned, candidates scored alone", training_changes=scored, baseline=alone.key),
        ),
        settings={"cpu": _limited},
        refused="it is a test of small policies",
        reference="cloning",
        questions=(
            Question(text="Does CDL pay in loss?", row=tuned.key, column=LOSS.name, at_most=PAYS["loss"]),
            *(
                Question(
                    text=f"Does CDL pay at {level.name}?", row=tuned.key, column=level.name, at_least=PAYS["points"]
                )
                for level in LEVELS
            ),
        ),
        notes=(
            "All rows are measured at their own checkpoint of the lowest loss on held-out demonstrations. Three seeds "
            "are for the tuned row and for augmentation alone, one for the others.",
        ),
    )


def contrast_dynamics() -> Table:
    """Return the second table on CDL: does it pay in tasks of several steps, with anchors of two timesteps or more?"""
    tuned = replace(TUNED, negatives_from="mixed", min_timesteps=2)
    row = astra(name="CDL, tuned", training_changes={**AUGMENTED, "contrastive": tuned}, sees=None)
    return Table(
        name="contrast-dynamics",
        parent="claims",
        title="Tabletop, four tasks of several steps, 5,000 updates: does CDL pay where there is a dynamics to learn?",
        columns=(LOSS, Column(name="L1", group="L1")),
        rows=(
            astra(name="augmentation alone", training_changes=AUGMENTED, sees=None),
            row,
        ),
        settings={"cpu": tabletop_with_slips},
        refused="it is a test of small policies",
        reference="augmentation-alone",
        questions=(
            Question(text="Does CDL pay in loss?", row=row.key, column=LOSS.name, at_most=PAYS["loss"]),
            Question(text="Does CDL pay at L1?", row=row.key, column="L1", at_least=PAYS["points"]),
        ),
    )


def _limited() -> Settings:
    training = fast_training(4_000, timesteps=2, parts=2)
    return Settings(
        environment="the tabletop, which imitates VIMA-Bench",
        demonstrations=collected(SUITE, "tabletop-limited", DEMONSTRATIONS, SHORT_TASKS),
        shared=replace(small_policy(), actions=SUCTION_NUMBERS),
        trunks={"astra-small": {"layers": 3}},
        training=replace(training, validation_every=250, keep_best=HELD_OUT_LOSS),
        suite=SUITE.name,
        evaluation=EvaluationConfig(
            episodes=50, agents=("policy",), levels=("L1", "L2", "L3"), tasks=SHORT_TASKS, videos=0
        ),
        observations=TOP,
        stride=2,
        minutes=12.0,
        evaluation_minutes=3.0,
    )
