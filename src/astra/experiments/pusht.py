"""Push-T, Table 6 of the paper: score over 30 trials of 200 timesteps, discrete actions.

Demonstrations come first:

    astra collect pusht --episodes 2000 --output data/pusht-expert
    astra convert pusht-zarr pusht_cchi_v7_replay.zarr.tar data/pusht-human --mirror

What the small policies have in common: they see the T's corners and the agent's position, at the present timestep
alone (a window of one), and predict the next eight positions of the agent.
"""

from dataclasses import replace
from pathlib import Path

from astra.environments.pusht.environment import AGENT
from astra.experiments.experiment import Experiment
from astra.policies.astra import AstraConfig
from astra.policies.decoding import Decoding
from astra.policies.sizes import astra_19m, astra_small
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.states import StateConfig
from astra.training.config import TrainingConfig

CONTEXT = 50
"""Timesteps that the large policies read and are trained on."""


def small_policy(reference_state: str | None = None) -> AstraConfig:
    """Describe the small Astra that all CPU runs on Push-T train.

    Args:
        reference_state: state vector from which actions are measured, if any.
    """
    return replace(
        astra_small(),
        window=1,
        reference_state=reference_state,
        chunk_size=8,
        chunk_sample=2,
        dropout=0.1,
        soft_labels=1.5,
        states=StateConfig(proprioception=ProprioceptionConfig(frequencies=3)),
        actions=DiscreteActionsConfig(bins=256),
        decoding=Decoding(temperature=0.5, n_action_steps=4),
    )


def small_training(minutes: float) -> TrainingConfig:
    """Describe a training of so many minutes on one thread."""
    return TrainingConfig(
        updates=1_000_000,
        max_minutes=minutes,
        batch_size=128,
        timesteps=1,
        learning_rate=1e-3,
        weight_decay=0.1,
        ema_max_decay=0.999,
        precision="float32",
        threads=1,
        log_every=100,
        validation_every=1000,
        checkpoint_every=2000,
    )


def pusht_expert() -> Experiment:
    """Astra (small) on demonstrations of our expert for both goals, told apart by the instruction."""
    return Experiment(
        dataset=Path("data/pusht-expert"), policy=small_policy(reference_state=AGENT), training=small_training(45)
    )


def pusht_human() -> Experiment:
    """Astra (small) on the 206 human demonstrations and their mirror images."""
    return Experiment(dataset=Path("data/pusht-human"), policy=small_policy(), training=small_training(45))


def pusht_expert_continuous() -> Experiment:
    """As pusht-expert, with continuous actions."""
    return _continuous(pusht_expert())


def pusht_human_continuous() -> Experiment:
    """As pusht-human, with continuous actions; the paper reports that models fail to learn from these."""
    return _continuous(pusht_human())


def pusht_human_19m() -> Experiment:
    """Table 6, row Astra: 94.11. Astra (19M), one action per timestep, discrete actions.

    The paper prints neither learning rate, batch size, bins nor context length for Push-T: those are ours.
    Deviation: a window of as many timesteps as are trained on, and relative positions. An episode has 200 timesteps,
    and learned places beyond those that were trained would hold what they began with.
    """
    return Experiment(
        dataset=Path("data/pusht-human"),
        policy=replace(
            astra_19m(),
            positions="relative",
            window=CONTEXT,
            states=StateConfig(proprioception=ProprioceptionConfig(frequencies=6)),
            actions=DiscreteActionsConfig(bins=256),
        ),
        training=TrainingConfig(updates=50_000, batch_size=64, timesteps=CONTEXT, learning_rate=1e-4, weight_decay=0.1),
    )


def _continuous(experiment: Experiment) -> Experiment:
    policy = replace(
        experiment.policy,
        actions=ContinuousActionsConfig(),
        soft_labels=0.0,
        decoding=Decoding(temperature=0.0, n_action_steps=4),
    )
    return replace(experiment, policy=policy)
