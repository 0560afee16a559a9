"""Table 3: chained instructions in CALVIN, which the paper trains in A, B and C; at CPU scale small policies, D to D.

The constants below are the frozen budget of the CPU scale, committed before the first result was seen. All rows see
the present timestep and predict one action, the mean of those demonstrated. They learn from states, which the paper's
policies do not know.

Rows of ours: chunks of eight actions; a history of four timesteps without and with contrastive dynamics learning (CDL),
both from windows of neighboring timesteps; and controls, measured in the runs of the row Astra.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.demonstrations.recipe import Demonstrations, collected
from astra.environments.calvin.suite import SUITE as CALVIN
from astra.experiments.calvin import calvin_abc_38m, small_policy
from astra.experiments.pusht import small_training
from astra.paper.table import Column, Row, Scale, Settings, Table
from astra.policies.decoding import Decoding
from astra.suites.config import EvaluationConfig

UPDATES = 10_000
"""Updates of every run."""
MINUTES = 35.0
"""Estimated minutes of these updates of Astra on one thread; none was measured yet."""
EPISODES = 100
"""Evaluation episodes: the first 100 of the protocol's 1,000 chains."""
EVALUATION_MINUTES = 15.0
"""Estimated minutes of the evaluation."""
HISTORY, WINDOW = 4, 16
"""Timesteps that the rows of histories attend to, and of the windows from which they learn."""
BATCH = 128
"""Timesteps of a batch, in all rows."""
ASTRA: Mapping[Scale, str] = {"cpu": "astra-small", "paper": "astra-38m"}
IN_A_ROW = tuple(f"{number} in a row" for number in range(1, 6))
CLONES = "clone calvin_env and calvin, and set CALVIN_ROOT (docs/calvin.md)"


def cpu() -> Settings:
    """Return the shared settings at CPU scale: scene D in training and test, from states, under an hour per run."""
    return Settings(
        environment="CALVIN D to D, from states",
        demonstrations=collected(CALVIN, "calvin-d", 6_800, needs=CLONES),
        shared=replace(small_policy(), decoding=Decoding(temperature=0.0)),
        training=small_training(UPDATES),
        suite=CALVIN.name,
        evaluation=EvaluationConfig(episodes=EPISODES, agents=("policy",)),
        minutes=MINUTES,
        evaluation_minutes=EVALUATION_MINUTES,
    )


def paper() -> Settings:
    """Return the shared settings at the paper's scale, those of `calvin-abc-38m`: the official data, 1,000 chains."""
    experiment = calvin_abc_38m()
    return Settings(
        environment="CALVIN ABC to D",
        demonstrations=Demonstrations(
            name=experiment.dataset.name,
            command="astra convert calvin task_ABC_D/training data/calvin-abc-official --images --static-size 200 "
            "--gripper-size 84",
            needs=f"download CALVIN's task_ABC_D, and {CLONES}",
        ),
        shared=experiment.policy,
        trunks={size: {"positions": "relative"} for size in ("vima-42m", "flamingo-42m")},
        training=experiment.training,
        suite=CALVIN.name,
        evaluation=EvaluationConfig(episodes=1000, agents=("policy",)),
        minutes=180.0,  # the middle of what `python -m astra.profiling.cost` estimates
        evaluation_minutes=600.0,
        device="H100",
    )


def table3() -> Table:
    """Return Table 3 of the paper, which quotes five rows from other papers, with controls and rows of ours."""
    control = partial(Row, added=True, runs_of="astra")
    added = partial(Row, attention="trajectory", sizes={"cpu": ASTRA["cpu"]}, added=True)
    windows = {"timesteps": WINDOW, "batch_size": BATCH // WINDOW}
    history = added(name=f"Astra, history of {HISTORY}", policy_changes={"window": HISTORY}, training_changes=windows)
    quoted = {
        "MCIL": (30.4, 1.3, 0.2, 0.0, 0.0, 0.31),
        "OpenVLA": (32.4, 4.2, 1.4, 0.5, 0.3, 0.39),
        "MDT": (61.7, 41.6, 23.8, 14.7, 8.7, 1.54),
        "RoboFlamingo": (82.4, 61.9, 46.6, 33.1, 23.5, 2.48),
        "GR-1": (85.4, 71.2, 59.6, 49.7, 40.1, 3.06),
    }
    return Table(
        name="table3",
        title="Tasks done in a row in CALVIN (%)",
        columns=(
            *(Column(name=name, score=name) for name in IN_A_ROW),
            Column(name="mean length (tasks, not %)", score="length", scale=1.0),
        ),
        rows=(
            *(Row(name=name, paper=numbers, quoted=True) for name, numbers in quoted.items()),
            Row(
                name="RT-1",
                attention="causal",
                sizes={"paper": "rt1"},
                lacks=("window", "states"),
                paper=(53.3, 22.2, 9.4, 3.8, 1.3, 0.90),
            ),
            Row(
                name="VIMA",
                attention="cross",
                sizes={"cpu": "vima-small", "paper": "vima-42m"},
                paper=(64.1, 47.6, 34.6, 29.2, 23.7, 1.99),
            ),
            Row(
                name="Flamingo",
                attention="cross",
                sizes={"cpu": "flamingo-small", "paper": "flamingo-42m"},
                paper=(69.9, 53.2, 39.1, 31.2, 24.6, 2.18),
            ),
            Row(
                name="DT",
                attention="causal",
                sizes={"cpu": "decision-transformer-small", "paper": "decision-transformer-44m"},
                paper=(74.1, 56.1, 42.0, 32.2, 25.6, 2.30),
            ),
            Row(
                name="Gato",
                attention="causal",
                sizes={"cpu": "gato-small", "paper": "gato-44m"},
                paper=(77.3, 57.0, 44.4, 33.4, 26.1, 2.38),
            ),
            Row(
                name="Astra",
                attention="trajectory",
                sizes=ASTRA,
                paper=(89.7, 79.2, 65.8, 52.4, 42.3, 3.29),
            ),
            control(name="Expert", agent="expert"),
            control(name="No-op", agent="no-op"),
            control(name="Astra, told another task", agent="swapped"),
            added(
                name="Astra, chunks of eight",
                policy_changes={
                    "chunk_size": 8,
                    "chunk_sample": 2,
                    "decoding": Decoding(temperature=0.0, n_action_steps=4),
                },
            ),
            history,
            added(
                name=f"Astra with CDL, history of {HISTORY}",
                policy_changes={"window": HISTORY},
                training_changes={**windows, "contrastive": ContrastiveConfig(augmentation=None)},
                baseline=history.key,
            ),
        ),
        settings={"cpu": cpu, "paper": paper},
        reference="astra",
        paper_environment="CALVIN ABC to D",
        notes=(
            "At CPU scale policies learn and are tested in scene D, from the states of fixtures and blocks: compare "
            "the order of rows with the paper, not the numbers. RT-1 reads images only, so it has a row at the paper's "
            "scale alone.",
            "Histories and CDL learn from windows of 16 neighboring timesteps, and from as many timesteps in all.",
            "As printed. The rates of MDT sum to 1.505 (printed mean length: 1.54), those of MCIL to 0.319 (printed: "
            "0.31).",
        ),
    )
