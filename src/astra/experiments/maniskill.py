"""ManiSkill, Table 2 and the right half of Table 4: pick-and-place of objects that training never showed.

Demonstrations, of 18 combinations of target and container with 2 to 4 distractors, in 101 bins; an episode with its
images takes 0.3 s of CPU time:

    astra collect maniskill --episodes 3600 --output data/maniskill
    astra collect maniskill --episodes 3600 --observation state --output data/maniskill-states

    astra evaluate runs/maniskill --episodes 20 --agents policy swapped blind no-op    # all eight columns of Table 2
    astra evaluate runs/maniskill --episodes 20 --levels seen-2-4 --tasks hard         # or easy, or medium

The small policies see the present timestep only (a window of one): the fingers' opening shows whether a grasp failed.
They predict an action chunk of the next four actions, of which two are executed, so that they answer to a failed grasp
at once. They act with the mean of the bins, because the most likely one jumps between timesteps. From images the
success rate is 0.87 at `seen-2-4` (docs/results.md); maniskill-states has not been run yet.
"""

from dataclasses import replace
from pathlib import Path

from astra.augmentation.pictures import AugmentationConfig
from astra.environments.maniskill.world import BINS
from astra.environments.seeds import ROLLOUTS as ROLLOUT_SEED
from astra.experiments.experiment import Experiment
from astra.experiments.pusht import small_training
from astra.policies.astra import AstraConfig
from astra.policies.decoding import Decoding
from astra.policies.sizes import astra_198m, astra_small
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.images import ImageConfig
from astra.training.config import TrainingConfig

UPDATES = 20_000
"""Updates of the small policies: from images about an hour of a core that multiplies in bfloat16."""
ROLLOUTS = EvaluationConfig(episodes=2, seed=ROLLOUT_SEED, levels=("seen-2-4",), videos=0)
"""Rollouts in training: objects of training alone, from other seeds than those of `astra evaluate`."""
AUGMENTATION = AugmentationConfig(shift=1 / 32)
"""Shifts of up to 2 of 64 pixels: 4, as wide as a small object, cost 0.04 nats after 2,000 updates."""
CONTEXT = 50
"""Timesteps that the large policy attends to, in training and in rollouts."""


def small_policy() -> AstraConfig:
    """Return the small Astra from states, with discrete actions. Source: section 4.4 (discrete 6-D poses)."""
    return replace(
        astra_small(),
        window=1,
        chunk_size=4,
        chunk_sample=2,
        dropout=0.1,
        soft_labels=1.5,
        states=StateConfig(proprioception=ProprioceptionConfig(frequencies=6)),
        actions=DiscreteActionsConfig(bins=BINS, head_frequencies=16, head_scaled=True),
        decoding=Decoding(bin_value="mean", n_action_steps=2),
    )


def fast_training(updates: int) -> TrainingConfig:
    """Return a training of so many updates on one thread in bfloat16.

    CPUs that multiply in bfloat16 (AVX512_BF16 or AMX) take less than half of the time; on others float32 is faster.
    """
    return replace(small_training(updates), precision="bfloat16")


def maniskill() -> Experiment:
    """Table 2, row Astra without CDL, from two cameras at 64 pixels, with encoders that are trained with the policy.

    One token per patch of 16 pixels, so that the place of an object is not lost before the instruction names it.
    """
    policy = small_policy()
    images = ImageConfig(encoder="small", tokens="patches", image_size=64, patch_size=16)
    return Experiment(
        dataset=Path("data/maniskill"),
        policy=replace(policy, states=replace(policy.states, images=images)),
        training=replace(fast_training(UPDATES), augmentation=AUGMENTATION),
        rollouts=ROLLOUTS,
    )


def maniskill_states() -> Experiment:
    """As maniskill, but privileged: from the exact poses and sizes of target and container instead of images.

    It measures what imitation can reach where nothing must be seen or understood; its instruction tells nothing new.
    Compare it with no row of Table 2.
    """
    return Experiment(
        dataset=Path("data/maniskill-states"),
        policy=small_policy(),
        training=fast_training(UPDATES),
        rollouts=ROLLOUTS,
    )


def maniskill_198m() -> Experiment:
    """Table 2, row Astra: 90.53 on seen objects with 2 to 4 distractors (with CDL). Astra (198M), ResNet, T5.

    astra collect maniskill --episodes 18000 --frame-size 128 --output data/maniskill-128

    The paper gives the size, the kinds of encoders, discrete actions, 5 epochs, the learning rate and the weight decay.
    The number of demonstrations, the batch size, the number of bins and the context length are ours. Deviation: a
    window as long as in training, and relative positions: an episode has more timesteps than a training window.
    """
    return Experiment(
        dataset=Path("data/maniskill-128"),
        stride=CONTEXT,
        policy=replace(
            astra_198m(),
            positions="relative",
            window=CONTEXT,
            language=LanguageConfig(pretrained="t5-base"),
            states=StateConfig(images=ImageConfig(encoder="resnet", image_size=128, pretrained="microsoft/resnet-18")),
            actions=DiscreteActionsConfig(bins=BINS),
        ),
        training=TrainingConfig(
            updates=2_300,  # 5 epochs of 17,100 episodes in 1.75 windows each, one every 50 timesteps; 5% are held out
            batch_size=64,
            timesteps=CONTEXT,
            learning_rate=1e-4,
            weight_decay=1e-4,
        ),
    )
