"""Does trajectory attention pay? Four tables in which it should, if it does: held-out losses paired by seed.

The mask lets the tokens of a segment attend to each other in both directions. That can matter where a state has many
tokens without an order of their own, and where few layers follow that could pass on what an earlier token lacks. Both
rows of a table have action queries, so that they differ in the mask alone. Before a policy has learned to look at the
objects, its loss does not depend on the mask: a table tells something only if its first row succeeds often enough. Two
seeds are run first, and five where both favor the mask by 0.01. The constants and bounds were committed before the
first run. `mask-objects` was run with AdamW first (results/claims/mask-objects-cpu-adamw): its first row passed the
bound narrowly (32.0 % at L1), no seed favored the mask, and the table ended as fixed. We reopened it after seeing this:
all four tables are now trained with Muon, which learns more in the same updates. Results: results/claims/,
docs/claims.md.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from astra.demonstrations.recipe import collected
from astra.environments.tabletop.suite import SUITE, TabletopOptions
from astra.experiments.tabletop import LONGEST, fast_training, small_policy
from astra.paper.claims.history import LOSS, tabletop_with_slips
from astra.paper.question import Question
from astra.paper.table import Column, Row, Sees, Settings, Table
from astra.suites.config import EvaluationConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.images import ImageConfig

EASY_TASKS = ("visual_manipulation", "rotate")
"""Two tasks of one step, which small policies learn from frames."""
FRAMES = ("observation.end_effector", "observation.images.front", "observation.images.top")
FRAMES_DEMONSTRATIONS = 8_000
PATCHES = ImageConfig(encoder="small", image_size=(64, 128), patch_size=16)
"""32 patches of each view; each is embedded alone, so that only the trunk lets them attend to each other."""
CROWDED_TASKS = ("twist", "rearrange", "same_shape")
"""Tasks whose meaning lies in several objects at once."""
CROWDED = ("observation.end_effector", "observation.objects.front", "observation.objects.top")
CROWDED_DEMONSTRATIONS = 18_000
BOUND = 0.02
"""Smallest mean difference of the held-out loss, in nats, for a yes; the paper's 3.5 points are about 0.03."""


SUCCESS = 30.0
"""Smallest success at L1 in percent of the row with trajectory attention; below, the loss tells nothing."""


def _table(
    name: str, title: str, settings: Callable[[], Settings], sees: Sees | None = None, same_runs_as: str = ""
) -> Table:
    """Return a table of two rows that differ in the mask alone; the first may share the runs of another table's row."""
    astra = partial(Row, sees=sees, sizes={"cpu": "astra-small"})
    causal = astra(name="causal", attention="causal", policy_changes={"trajectory_attention": False})
    learned = "Was the task learned well enough to judge the mask?"
    return Table(
        name=name,
        parent="claims",
        title=title,
        columns=(LOSS, Column(name="L1", group="L1")),
        rows=(astra(name="trajectory", attention="trajectory", same_runs_as=same_runs_as), causal),
        settings={"cpu": settings},
        refused="it is a test of small policies",
        reference="trajectory",
        questions=(
            Question(
                text=learned,
                row="trajectory",
                column="L1",
                difference=False,
                at_least=SUCCESS,
            ),
            Question(
                text="Does trajectory attention pay?",
                row=causal.key,
                column=LOSS.name,
                at_least=BOUND,
                given=learned,
            ),
        ),
        notes=("Two seeds come first, and five where both favor trajectory attention by 0.01.",),
    )


def mask_patches() -> Table:
    """Return the first table on the mask: does it pay where a state has 64 patches of two frames?"""
    title = "Tabletop, two easy tasks from 64 patches, 2 layers, 3,000 updates: does the mask pay?"
    return _table("mask-patches", title, _patches, sees="patches")


def mask_objects() -> Table:
    """Return the second table on the mask: does it pay where a state has the objects of two views, with 2 layers?"""
    title = "Tabletop, three tasks, objects of two views, 2 layers, 3,000 updates: does the mask pay?"
    return _table("mask-objects", title, partial(_objects, layers=2))


def mask_objects_deep() -> Table:
    """Return the third table on the mask: does it pay with 4 layers too?"""
    title = "Tabletop, three tasks, objects of two views, 4 layers, 3,000 updates: does the mask pay?"
    return _table("mask-objects-deep", title, partial(_objects, layers=4))


def mask_history() -> Table:
    """Return the fourth table on the mask: does it pay in tasks of several steps?"""
    title = "Tabletop, four tasks of several steps, 3 layers, 5,000 updates: does the mask pay?"
    return _table("mask-history", title, tabletop_with_slips, same_runs_as="history-tabletop/whole-history")


def _patches() -> Settings:
    policy = replace(small_policy(), states=StateConfig(images=PATCHES))
    return Settings(
        environment="the tabletop, which imitates VIMA-Bench",
        demonstrations=collected(
            SUITE, "tabletop-easy-frames", FRAMES_DEMONSTRATIONS, EASY_TASKS, TabletopOptions(frames=True)
        ),
        shared=policy,
        trunks={"astra-small": {"layers": 2}},
        training=fast_training(3_000, timesteps=1, parts=1),
        suite=SUITE.name,
        evaluation=EvaluationConfig(episodes=50, agents=("policy",), levels=("L1",), tasks=EASY_TASKS, videos=0),
        observations=FRAMES,
        minutes=8.0,
        evaluation_minutes=1.0,
    )


def _objects(layers: int) -> Settings:
    return Settings(
        environment="the tabletop, which imitates VIMA-Bench",
        demonstrations=collected(SUITE, "tabletop-crowded", CROWDED_DEMONSTRATIONS, CROWDED_TASKS),
        shared=small_policy(),
        trunks={"astra-small": {"layers": layers}},
        training=fast_training(3_000, timesteps=LONGEST, parts=2),
        suite=SUITE.name,
        evaluation=EvaluationConfig(episodes=50, agents=("policy",), levels=("L1",), tasks=CROWDED_TASKS, videos=0),
        observations=CROWDED,
        stride=LONGEST,
        minutes=9.0 if layers == 2 else 14.0,
        evaluation_minutes=2.0,
    )
