"""Meta-World, MT10: ten tasks of a robot arm from state vectors, one policy for all of them; not in the paper.

Demonstrations:

    astra collect metaworld --tasks mt10 --episodes 1000 --output data/metaworld-mt10

The policy observes the hand, the objects and the position of the goal, at the current timestep only (a window of one):
Meta-World's experts act on that too. Nothing but the instruction tells `reach` from `pick-place`; in the other tasks
the observation tells the task as well.
"""

from dataclasses import replace
from pathlib import Path

from astra.environments.seeds import ROLLOUTS
from astra.experiments import kitchen
from astra.experiments.experiment import Experiment
from astra.experiments.pusht import small_training
from astra.policies.astra import AstraConfig
from astra.policies.decoding import Decoding
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import DiscreteActionsConfig


def metaworld_mt10() -> Experiment:
    """Astra (small) on MT10 from state vectors, with discrete actions and a training that ends by updates.

    An odd number of bins has a bin whose center is 0, at which the hand rests.
    """
    return Experiment(
        dataset=Path("data/metaworld-mt10"),
        policy=small_policy(),
        training=small_training(12_000),
        rollouts=EvaluationConfig(episodes=5, seed=ROLLOUTS, videos=0),
    )


def small_policy() -> AstraConfig:
    """Return the small Astra of the runs on Meta-World: the kitchen's with other bins, and without dropout.

    It acts with the most likely bin, as its measured run did.
    """
    return replace(
        kitchen.small_policy(),
        dropout=0.0,
        actions=DiscreteActionsConfig(bins=101),
        decoding=Decoding(n_action_steps=4),
    )
