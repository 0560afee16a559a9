"""CALVIN, Table 3 of the paper: chains of five instructions in scene D, from demonstrations in D, or in A, B and C.

Demonstrations of our expert, as many of each task and scene; CALVIN_ROOT names the user's clones:

    astra collect calvin --episodes 6800 --output data/calvin-d
    astra collect calvin --episodes 10200 --scenes ABC --output data/calvin-abc
    astra collect calvin --episodes 3400 --observation images --output data/calvin-d-images
    astra collect calvin --episodes 5100 --scenes ABC --observation images --output data/calvin-abc-images

The small policies see the present timestep only (a window of one), and predict an action chunk of the next eight
actions, of which four are executed. Policies from states know the poses of fixtures and blocks, which the paper's
policies do not: compare rows with each other, not with the paper. None was trained to its end yet, and the numbers of
updates are estimates of what a few hours of two cores allow.

    astra evaluate runs/calvin-d --episodes 100 --agents policy swapped no-op expert
    astra evaluate runs/calvin-d --episodes 20 --play tasks                          # each task, validation sentences
    astra evaluate runs/calvin-d --episodes 20 --play tasks --sentences training
"""

from dataclasses import replace
from pathlib import Path

from astra.augmentation.pictures import AugmentationConfig
from astra.environments.seeds import ROLLOUTS as ROLLOUT_SEED
from astra.experiments.experiment import Experiment
from astra.experiments.pusht import small_training
from astra.policies.astra import AstraConfig
from astra.policies.decoding import Decoding
from astra.policies.sizes import astra_38m, astra_small
from astra.suites.config import EvaluationConfig
from astra.tokenizers.actions import ContinuousActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.images import ImageConfig
from astra.training.config import TrainingConfig

UPDATES = 12_000
"""Updates of the small policies, from states and from images."""
ROLLOUTS = EvaluationConfig(episodes=20, seed=ROLLOUT_SEED + 500, videos=0)
"""Rollouts in training: the chains 500 to 519, which an evaluation of 100 chains does not play."""
MEAN = ContinuousActionsConfig(quadratic_below=10.0, loss="huber")
"""Continuous actions of the small policies: the mean of the demonstrated ones, which vary in what the state does not
tell, and the gripper's two actions with the same weight."""
CONTEXT = 10
"""Timesteps that the large policies attend to. Source: GR-1."""


def small_policy() -> AstraConfig:
    """Return the small Astra from states with continuous actions. Source: section 4.5 (continuous actions)."""
    return replace(
        astra_small(),
        window=1,
        chunk_size=8,
        chunk_sample=2,
        dropout=0.1,
        language=LanguageConfig(word_dropout=0.1),
        states=StateConfig(proprioception=ProprioceptionConfig(frequencies=6)),
        actions=MEAN,
        decoding=Decoding(temperature=0.0, n_action_steps=4),
    )


def calvin_d() -> Experiment:
    """Table 3's benchmark with the same scene in training and test (D to D). Astra (small), from states."""
    return Experiment(
        dataset=Path("data/calvin-d"), policy=small_policy(), training=small_training(UPDATES), rollouts=ROLLOUTS
    )


def calvin_abc() -> Experiment:
    """Table 3's setting, three scenes in training and the fourth in test (ABC to D): mean length 3.29 in the paper.

    Astra (small), from states.
    """
    return replace(calvin_d(), dataset=Path("data/calvin-abc"))


def calvin_d_images() -> Experiment:
    """As calvin-d, but from two cameras at 64 pixels instead of the states of fixtures and blocks."""
    return replace(
        calvin_d(),
        dataset=Path("data/calvin-d-images"),
        policy=small_image_policy(),
        training=replace(small_training(UPDATES), augmentation=AugmentationConfig()),
    )


def calvin_abc_images() -> Experiment:
    """As calvin-abc, but from two cameras at 64 pixels instead of the states of fixtures and blocks."""
    return replace(calvin_d_images(), dataset=Path("data/calvin-abc-images"))


def small_image_policy() -> AstraConfig:
    """Return the small Astra from the robot's state and two cameras, whose encoder is trained with it.

    One token per patch of 16 pixels, so that the place of an object is not lost before the instruction names it.
    """
    policy = small_policy()
    images = ImageConfig(encoder="small", tokens="patches", image_size=64, patch_size=16)
    return replace(policy, states=replace(policy.states, images=images))


def calvin_abc_38m() -> Experiment:
    """Table 3, row Astra: mean length 3.29. Astra (38M), MAE-ViT, CLIP, 20 epochs of 1 % of the data.

        astra convert calvin task_ABC_D/training data/calvin-abc-official --images --static-size 200 --gripper-size 84

    The paper gives the encoders, 20 epochs, the learning rate and the weight decay, and follows GR-1 for the rest: a
    window of 10 timesteps and frozen encoders. Frames keep the size in which they were recorded, in which the
    environment renders them too; the encoder gets them at 224 pixels. Deviation: one token per camera, not GR-1's
    resampled patches; the batch size is ours, and so is the number of updates, for about 18,000 annotated parts of 60
    timesteps.
    """
    return Experiment(
        dataset=Path("data/calvin-abc-official"),
        policy=replace(
            astra_38m(),
            window=CONTEXT,
            language=LanguageConfig(pretrained="openai/clip-vit-base-patch32"),
            states=StateConfig(
                images=ImageConfig(encoder="mae", image_size=224, pretrained="facebook/vit-mae-base", frozen=True)
            ),
            actions=ContinuousActionsConfig(),
        ),
        training=TrainingConfig(
            updates=40_000, batch_size=512, timesteps=CONTEXT, learning_rate=9e-4, weight_decay=1e-4
        ),
        rollouts=ROLLOUTS,
    )
