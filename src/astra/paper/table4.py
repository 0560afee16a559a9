"""Table 4: Astra without its parts. Its two halves are tables of their own, since their environments differ.

The left half, `table4`, has the levels of VIMA-Bench; at CPU scale it plays on the tabletop, with the budget of Table
1. The right half, `table4-maniskill`, has easy, medium and hard objects in ManiSkill, with the budget of Table 2.

Three rows of the left half are ours. The paper's contrastive dynamics learning (CDL) includes image augmentation, so
one row has augmentation alone and one has CDL without it; in the third, negatives are harder to tell apart. All rows
get the same updates, so rows with CDL take longer; with `--equal time` they get fewer updates. The cost of their
updates was measured before the first run (two idle cores, 27 November 2026), by
`python -m astra.profiling.rows table4 --rounds 20`.
"""

from dataclasses import replace
from functools import partial

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.environments.maniskill.levels import names_by_difficulty
from astra.paper import table2
from astra.paper.table import Column, Row, Table
from astra.paper.table1 import ASTRA_SIZES, GATO_SIZES, LEVELS, cpu, paper


def table4() -> Table:
    """Return the left half of Table 4, with three rows of ours; rows without one part are compared with Astra."""
    astra = partial(Row, attention="trajectory", sees="objects", sizes=ASTRA_SIZES)
    return Table(
        name="table4",
        title="Astra without its parts: success (%)",
        columns=LEVELS,
        rows=(
            astra(
                name="Astra with CDL",
                training_changes={"contrastive": ContrastiveConfig()},
                cost=2.17,
                paper=(97.08, 94.62, 86.17, 49.50),
            ),
            astra(
                name="Astra",
                paper=(94.69, 92.15, 85.83, 50.00),
                same_runs_as="table1/astra",
            ),
            astra(
                name="w/o trajectory attention",
                attention="causal",
                policy_changes={"trajectory_attention": False},
                paper=(91.23, 89.31, 84.42, 47.50),
                same_runs_as="table1/astra-queries-alone",
            ),
            astra(
                name="w/o action query",
                policy_changes={"action_queries": False},
                paper=(89.08, 84.85, 82.58, 45.25),
                baseline="astra",
                same_runs_as="table1/astra-mask-alone",
            ),
            astra(
                name="w/o both",
                attention="causal",
                sizes=GATO_SIZES,
                paper=(85.77, 82.62, 78.92, 40.25),
                same_runs_as="table1/gato-objects",
            ),
            astra(
                name="augmentation alone",
                training_changes={"augmentation": AugmentationConfig()},
                added=True,
                baseline="astra",
            ),
            astra(
                name="CDL without augmentation",
                training_changes={"contrastive": ContrastiveConfig(augmentation=None)},
                cost=2.08,
                added=True,
                baseline="astra",
            ),
            astra(
                name="CDL, hard negatives",
                training_changes={"contrastive": ContrastiveConfig(negatives_from="same_task")},
                cost=2.03,
                added=True,
                baseline="astra-with-cdl",
            ),
        ),
        settings={"cpu": cpu, "paper": paper},
        paper_environment="VIMA-Bench",
        notes=(
            "Each row without one part has the other part. 'w/o both' is Gato with object tokens: Table 1's Gato*, "
            "with the same numbers in the paper and the same runs here. At CPU scale this is exact; at the paper's "
            "scale Gato* has VIMA's blocks, so its trunk changes too.",
            "At CPU scale the tabletop imitates VIMA-Bench: compare the order of rows with the paper, not the numbers.",
            "The right half of the paper's table is `table4-maniskill`.",
        ),
    )


def table4_maniskill() -> Table:
    """Return the right half of Table 4: seen objects in ManiSkill by difficulty, with controls."""
    astra = partial(Row, attention="trajectory", sizes=table2.ASTRA)
    return Table(
        name="table4-maniskill",
        title="Astra without its parts in ManiSkill, seen objects with 2 to 4 distractors: success (%)",
        columns=(
            *(
                Column(name=difficulty, group="seen-2-4", tasks=tasks)
                for difficulty, tasks in names_by_difficulty().items()
            ),
            *(replace(column, group="seen-2-4") for column in table2.GRASPS),
        ),
        rows=(
            astra(
                name="Astra with CDL",
                training_changes={"contrastive": table2.CONTRASTIVE},
                needs_history=True,
                cost=table2.COSTS["CDL"],
                baseline=table2.HISTORY_ROW.key,
                paper=(93.83, 89.71, 83.50),
                same_runs_as="table2/astra-with-cdl",
            ),
            astra(name="Astra", paper=(91.33, 88.57, 75.00), same_runs_as="table2/astra"),
            astra(
                name="w/o trajectory attention",
                attention="causal",
                policy_changes={"trajectory_attention": False},
                paper=(86.33, 83.71, 76.00),
            ),
            astra(
                name="w/o action query",
                policy_changes={"action_queries": False},
                cost=table2.COSTS["w/o action query"],
                paper=(86.00, 80.86, 69.00),
            ),
            astra(
                name="w/o both",
                attention="causal",
                sizes=table2.GATO,
                cost=table2.COSTS["Gato"],
                paper=(72.33, 76.00, 67.00),
                same_runs_as="table2/gato",
            ),
            replace(table2.HISTORY_ROW, same_runs_as=f"table2/{table2.HISTORY_ROW.key}"),
            *table2.controls(same_runs_as="table2"),
        ),
        settings={"cpu": table2.cpu, "paper": table2.paper},
        reference="astra",
        paper_environment="ManiSkill2, with objects that are not public",
        notes=(
            "Each row without one part has the other part; 'w/o both' is Gato, with the runs of Table 2, as are Astra "
            "with and without CDL. At CPU scale CDL needs a history, and is compared with Astra of the same. The left "
            "half of the paper's table is `table4`.",
            "Easy targets are round and of regular size; hard ones are thin, or not round and oversized; medium are "
            "the others (docs/maniskill.md).",
        ),
    )
