"""Table 5: stages in Franka Kitchen, four policies with continuous and with discrete actions, from states.

The constants below are the frozen budget of the CPU scale, committed before the first result was seen. All rows see
the present timestep and predict one action at each, because the baselines have no action chunks.

Rows of ours: chunks of eight actions, and with discrete actions Astra's two ideas alone, histories of 1, 4 and 16
timesteps, and contrastive dynamics learning (CDL), which needs a history. The rows of histories and of CDL learn from
windows of 16 neighboring timesteps, and from as many timesteps in all. They are therefore compared with the history of
1 among them, not with the row Astra, discrete, whose timesteps are drawn one by one.

Rows that name another agent are controls, measured in the runs of another row: the expert, the no-op baseline, Astra
with the instruction of another episode, and histories cut to the present timestep when the policy acts.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from astra.demonstrations.recipe import Demonstrations, collected
from astra.environments.franka_kitchen.suite import SUITE
from astra.experiments.kitchen import MEAN, kitchen, kitchen_43m, small_policy
from astra.experiments.pusht import small_training
from astra.paper.claims.contrast import TUNED
from astra.paper.table import Column, Row, Scale, Settings, Table
from astra.policies.decoding import Decoding
from astra.suites.config import EvaluationConfig

UPDATES, BATCH = 3_000, 64
"""Updates of every run, and timesteps of each: once through the demonstrations."""
MINUTES = 9.0
"""Approximate minutes of these updates of Astra on one thread."""
EPISODES = 50
"""Evaluation episodes, of at most 280 timesteps each."""
EVALUATION_MINUTES = 3.0
"""Approximate minutes of the evaluation."""
TOGETHER = 25
"""Environments in which one process acts at once."""
WINDOW = 16
"""Timesteps of the windows from which the rows of histories learn."""
DEMONSTRATIONS = 1_000
STAGES = ("p1", "p2", "p3", "p4", "mean")

CONTINUOUS: Mapping[str, Any] = {"actions": MEAN, "soft_labels": 0.0}
CHUNKS: Mapping[str, Any] = {
    "chunk_size": 8,
    "chunk_sample": 2,
    "decoding": Decoding(bin_value="mean", n_action_steps=4),
}
"""Action chunks as in the experiment `kitchen`: half of each is executed."""

ASTRA: Mapping[Scale, str] = {"cpu": "astra-small", "paper": "astra-43m"}
WINDOWS: Mapping[str, Any] = {"timesteps": WINDOW, "batch_size": BATCH // WINDOW}
CONTRASTIVE = replace(TUNED, begin=0.0, negatives_from="any_task", cdl_fraction=1.0, min_timesteps=2, augmentation=None)
"""Contrastive dynamics learning as in docs/claims.md, from the start; all four windows of a batch are anchors."""
DISCRETE_ASTRA, HISTORY_OF_1 = "astra-discrete", "astra-history-of-1"


def cpu() -> Settings:
    """Return the shared settings at CPU scale: about 12 minutes of one core per run.

    In all rows attention falls with age at first, and policies act with the mean of the actions that they expect.
    """
    sizes = ("diffusion-small", "vima-small", "gato-small", "astra-small")
    return Settings(
        environment="Franka Kitchen, from states",
        demonstrations=demonstrations(),
        shared=replace(small_policy(), decoding=Decoding(bin_value="mean")),
        trunks={size: {"positions": "recency"} for size in sizes},
        training=replace(small_training(UPDATES), batch_size=BATCH, validation_every=500, checkpoint_every=500),
        suite=SUITE.name,
        evaluation=EvaluationConfig(episodes=EPISODES, agents=("policy",), num_envs=TOGETHER, videos=0),
        minutes=MINUTES,
        evaluation_minutes=EVALUATION_MINUTES,
    )


def paper() -> Settings:
    """Return the shared settings at the paper's scale, those of `kitchen-43m`: a history of 50 timesteps."""
    experiment = kitchen_43m()
    sizes = ("diffusion-43m", "vima-113m", "gato-43m", "astra-43m")
    return Settings(
        environment="Franka Kitchen, from states",
        demonstrations=demonstrations(),
        shared=experiment.policy,
        trunks={size: {"positions": "relative"} for size in sizes},
        training=experiment.training,
        suite=SUITE.name,
        evaluation=EvaluationConfig(episodes=EPISODES, agents=("policy",), num_envs=TOGETHER, videos=0),
        minutes=120.0,  # of a run of 50,000 updates; not measured
        evaluation_minutes=10.0,
        device="H100",
    )


def demonstrations() -> Demonstrations:
    """Return the demonstrations, which are the same at both scales."""
    return collected(SUITE, kitchen().dataset.name, DEMONSTRATIONS)


def _both(
    name: str, attention: str, sizes: Mapping[Scale, str], continuous: tuple[float, ...], discrete: tuple[float, ...]
) -> tuple[Row, Row]:
    """Return the rows of a policy with continuous and with discrete actions; others are compared with Astra's."""
    make = partial(Row, attention=attention, sizes=sizes, own_loss=name == "Diffusion")
    baseline = None if name == "Astra" else "astra-continuous"
    return (
        make(name=f"{name}, continuous", policy_changes=CONTINUOUS, paper=continuous, baseline=baseline),
        make(name=f"{name}, discrete", paper=discrete),
    )


def _history(timesteps: int, words: str = "", **changes: Any) -> Row:
    """Return the row of a history of so many timesteps."""
    return Row(
        name=f"Astra, history of {timesteps}{words}",
        attention="trajectory",
        sizes={"cpu": ASTRA["cpu"]},
        policy_changes={"window": timesteps, **changes},
        training_changes=WINDOWS,
        added=True,
        baseline=None if timesteps == 1 else HISTORY_OF_1,
    )


def table5() -> Table:
    """Return Table 5 of the paper, with controls and with rows of ours."""
    added = partial(Row, attention="trajectory", sizes={"cpu": ASTRA["cpu"]}, added=True)
    control = partial(Row, added=True)
    histories = (_history(4), _history(16), _history(16, ", past actions never read", drop_past_actions=1.0))
    return Table(
        name="table5",
        title="Stages done in Franka Kitchen (%)",
        columns=tuple(Column(name=stage, score=stage) for stage in STAGES),
        rows=(
            *_both(
                "Diffusion",
                "causal",
                {"cpu": "diffusion-small", "paper": "diffusion-43m"},
                (100, 94, 72, 34, 76),
                (54, 18, 10, 2, 21),
            ),
            *_both(
                "VIMA", "cross", {"cpu": "vima-small", "paper": "vima-113m"}, (92, 90, 80, 66, 82), (90, 72, 48, 16, 57)
            ),
            *_both(
                "Gato",
                "causal",
                {"cpu": "gato-small", "paper": "gato-43m"},
                (100, 98, 84, 62, 86),
                (100, 88, 68, 38, 74),
            ),
            *_both("Astra", "trajectory", ASTRA, (100, 100, 94, 70, 91), (100, 94, 68, 52, 79)),
            control(name="Expert", agent="expert", runs_of=DISCRETE_ASTRA),
            control(name="No-op", agent="no-op", runs_of=DISCRETE_ASTRA),
            control(name="Astra, discrete, told of another episode", agent="shuffled", runs_of=DISCRETE_ASTRA),
            control(
                name="Astra, continuous, told of another episode",
                agent="shuffled",
                runs_of="astra-continuous",
                baseline="astra-continuous",
            ),
            added(name="Astra, discrete, chunks of eight", policy_changes=CHUNKS),
            added(
                name="Astra, continuous, chunks of eight",
                policy_changes={**CONTINUOUS, **CHUNKS},
                baseline="astra-continuous",
            ),
            added(name="Astra, mask alone", policy_changes={"action_queries": False}),
            added(name="Astra, queries alone", attention="causal", policy_changes={"trajectory_attention": False}),
            _history(1),
            *histories,
            *(
                control(name=f"{row.name}, cut to the present", agent="no-history", runs_of=row.key, baseline=row.key)
                for row in histories
            ),
            added(
                name="Astra with CDL, history of 4",
                policy_changes={"window": 4},
                training_changes={**WINDOWS, "contrastive": CONTRASTIVE},
                baseline=histories[0].key,
            ),
        ),
        settings={"cpu": cpu, "paper": paper},
        reference=DISCRETE_ASTRA,
        paper_environment="Franka Kitchen",
        notes=(
            "As printed by the paper. The mean of Diffusion's continuous stages is 75 (printed: 76). The paper does "
            "not name its demonstrations; ours are of our expert, at both scales.",
            "All rows predict one action at each timestep from the present state; in `chunks of eight` Astra predicts "
            "eight actions and executes four. Histories and CDL learn from windows of 16 neighboring timesteps, so "
            "the history of 1 differs from Astra, discrete in the order of its data.",
            "Told of another episode: of the four tasks that the instruction names, the episode asks for 16/7 (57 %) "
            "on average. A policy that follows it perfectly therefore reaches a mean of 57 %.",
            "Cut to the present: a policy with a history, which attends to the present timestep only when it acts.",
            "At CPU scale Diffusion uses 10 of its 100 denoising steps. It learns one noise level of each timestep, "
            "once through the data, and its loss still falls at the end: more updates would help it most.",
        ),
    )
