"""A table of tiny rows on Push-T, and results like those of its runs."""

import json
from pathlib import Path

import numpy as np

from astra.datasets import DatasetWriter, Episode
from astra.demonstrations.recipe import Demonstrations
from astra.environments.pusht.environment import observe_state
from astra.environments.pusht.geometry import CENTER, instruction_for
from astra.paper.table import Column, Row, Settings, Table
from astra.policies.astra import AstraConfig
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.training.config import TrainingConfig


def write_demonstrations(folder: Path) -> Path:
    """Write random data with the columns of Push-T."""
    random = np.random.default_rng(0)
    with DatasetWriter(folder, fps=10.0) as writer:
        for _ in range(4):
            columns = observe_state(random.uniform(100, 400, (8, 5)))
            columns["action"] = random.uniform(0, 512, (8, 2)).astype(np.float32)
            writer.add(Episode(instruction=instruction_for(CENTER), columns=columns, fps=10.0))
    return folder


def settings() -> Settings:
    return Settings(
        environment="a tiny Push-T",
        demonstrations=Demonstrations(
            name="tiny", command="(made by the test)", episodes=4, collect=write_demonstrations
        ),
        shared=AstraConfig(window=1, soft_labels=1.0, actions=DiscreteActionsConfig(bins=8)),
        trunks={name: {"layers": 1, "heads": 1, "width": 16} for name in ("astra-small", "gato-small")},
        training=TrainingConfig(
            updates=4,
            batch_size=4,
            timesteps=1,
            threads=1,
            log_every=1,
            validation_every=2,
            checkpoint_every=2,
        ),
        suite="pusht",
        options={"max_timesteps": 3},
        evaluation=EvaluationConfig(episodes=2, agents=("policy",), num_envs=2),
        minutes=0.1,
        evaluation_minutes=0.1,
    )


def tiny() -> Table:
    """Return a tiny table."""
    return Table(
        name="tiny",
        title="A tiny table",
        columns=(Column(name="score", score="coverage"), Column(name="success"), Column(name="L9", group="L9")),
        rows=(
            Row(name="Elsewhere", quoted=True, paper=(12.0,)),
            Row(name="Gato", attention="causal", sizes={"cpu": "gato-small"}, paper=(90.43,)),
            Row(name="Astra", attention="trajectory", sizes={"cpu": "astra-small"}, paper=(94.11,)),
            Row(
                name="Astra, mask alone",
                sizes={"cpu": "astra-small"},
                policy_changes={"action_queries": False},
                added=True,
            ),
            Row(name="Later", sizes={"cpu": "astra-later"}),
        ),
        settings={"cpu": settings},
        refused="nobody measured it",
        reference="astra",
        paper_environment="Push-T",
    )


def write_results(folder: Path, row: str, seed: int, successes: list[bool], first_seed: int = 100) -> None:
    """Write the result files of a finished run."""
    run = folder / row / str(seed)
    run.mkdir(parents=True)
    episodes = [
        {"seed": first_seed + n, "task": "pusht", "success": won, "scores": {"coverage": 0.25 + 0.5 * won}}
        for n, won in enumerate(successes)
    ]
    (run / "eval_info.json").write_text(json.dumps({"episodes": episodes}))
    lines = [
        {"update": update, "minutes": update / 10, "train/loss": 4.0 / update, "train/action_accuracy": 0.01 * update}
        for update in range(1, 6)
    ]
    lines.append({"update": 5, "minutes": 0.5, "validation/loss": 2.0, "validation/action_accuracy": 0.1})
    (run / "config.json").write_text(json.dumps({"machines": ["2 cores"]}))
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
