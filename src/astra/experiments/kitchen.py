"""Franka Kitchen, Table 5 of the paper: stages p1 to p4 over 50 episodes of 280 timesteps, four of seven tasks each.

Demonstrations:

    astra collect franka-kitchen --episodes 1000 --output data/kitchen
    astra collect franka-kitchen --episodes 300 --output data/kitchen-images --observation images --frame-size 96

The small policies see the present timestep only (a window of one), which shows what is done already, and predict an
action chunk of the next eight actions, of which four are executed.
"""

from dataclasses import replace
from pathlib import Path

from astra.environments.seeds import ROLLOUTS as ROLLOUT_SEED
from astra.experiments import pusht
from astra.experiments.experiment import Experiment
from astra.experiments.pusht import small_training
from astra.policies.astra import AstraConfig
from astra.policies.decoding import Decoding
from astra.policies.sizes import astra_43m
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.images import ImageConfig
from astra.training.config import TrainingConfig

CONTEXT = 50
"""Timesteps that the large policies attend to, in training and in rollouts."""
BINS = 255
"""Bins per action dimension; an odd number has one whose center is zero."""
MEAN = ContinuousActionsConfig(quadratic_below=10.0)
"""Continuous actions of the small policies: the mean of the demonstrated ones, as with discrete actions."""
ROLLOUTS = EvaluationConfig(episodes=50, seed=ROLLOUT_SEED, videos=0)
"""Rollouts in training, from other seeds than those of `astra evaluate`."""


def small_policy() -> AstraConfig:
    """Return the small Astra with discrete actions: Push-T's, with other bins, of which it acts with the mean.

    The most likely bin jumps between timesteps, because the demonstrations vary in what the state does not tell.
    """
    return replace(
        pusht.small_policy(),
        states=StateConfig(proprioception=ProprioceptionConfig(frequencies=4)),
        actions=DiscreteActionsConfig(bins=BINS),
        decoding=Decoding(bin_value="mean", n_action_steps=4),
    )


def kitchen() -> Experiment:
    """Table 5, row Astra, discrete actions: 79 percent of the stages in the paper. Astra (small), from states."""
    return Experiment(
        dataset=Path("data/kitchen"), policy=small_policy(), training=small_training(8_000), rollouts=ROLLOUTS
    )


def kitchen_continuous() -> Experiment:
    """Table 5, row Astra, continuous actions: 91 percent of the stages in the paper. Astra (small), from states."""
    experiment = kitchen()
    return replace(experiment, policy=replace(experiment.policy, actions=MEAN, soft_labels=0.0))


def kitchen_images() -> Experiment:
    """As kitchen, but from two cameras at 96 pixels instead of the objects' state, and with fewer demonstrations.

    A demonstration with images takes about 6 s of CPU time, five times as much as one without.
    """
    experiment = kitchen()
    policy, images = experiment.policy, ImageConfig(encoder="small", image_size=96, patch_size=16)
    return replace(
        experiment,
        dataset=Path("data/kitchen-images"),
        policy=replace(policy, states=replace(policy.states, images=images)),
        training=small_training(3_000),
    )


def kitchen_43m() -> Experiment:
    """Table 5, row Astra, discrete actions: 79 percent of the stages in the paper. Astra (43M), from states.

    One action per timestep. The paper gives no learning rate, batch size, number of bins, context length or
    demonstrations for Franka Kitchen; these are ours. Deviation: a window as long as in training, and relative
    positions. An episode has up to 280 timesteps, more than the learned table of positions holds.
    """
    return Experiment(
        dataset=Path("data/kitchen"),
        policy=replace(
            astra_43m(),
            positions="relative",
            window=CONTEXT,
            states=StateConfig(proprioception=ProprioceptionConfig(frequencies=4)),
            actions=DiscreteActionsConfig(bins=BINS),
        ),
        training=TrainingConfig(updates=50_000, batch_size=64, timesteps=CONTEXT, learning_rate=1e-4, weight_decay=0.1),
        rollouts=ROLLOUTS,
    )


def kitchen_43m_continuous() -> Experiment:
    """Table 5, row Astra, continuous actions: 91 percent of the stages in the paper. As kitchen-43m otherwise."""
    experiment = kitchen_43m()
    return replace(experiment, policy=replace(experiment.policy, actions=ContinuousActionsConfig()))
