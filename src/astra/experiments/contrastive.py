"""Contrastive dynamics learning (CDL) on the tabletop's short tasks, with behavior cloning and as pretraining.

With behavior cloning, on the demonstrations of `tabletop-short`; `astra compare table4` measures what each part
contributes. As pretraining, on the fewer demonstrations of `astra compare contrast-limited`:

    astra collect tabletop --episodes 40000 --frames --output data/tabletop-frames
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
    astra collect tabletop --episodes 12000 --output data/tabletop-limited
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
"""

from dataclasses import replace
from pathlib import Path

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.experiments.experiment import Experiment
from astra.experiments.tabletop import SUCTION_NUMBERS, fast_training, tabletop_short
from astra.training.config import HELD_OUT_LOSS, TrainingConfig

PRETRAINING = "runs/tabletop-pretraining"
NORMALIZED = ContrastiveConfig(normalize=True, temperature=0.2, projection_layers=2, negatives_from="same_task")
"""Embeddings of length 1, a projection of two layers, and hard negatives."""


def tabletop_contrastive() -> Experiment:
    """As tabletop-short, with contrastive dynamics learning in addition to behavior cloning.

    An update takes about twice as long.
    """
    experiment = tabletop_short()
    return replace(experiment, training=replace(experiment.training, contrastive=ContrastiveConfig()))


def tabletop_pretraining() -> Experiment:
    """The encoder of tabletop-pretrained, trained by contrastive dynamics learning only; its actions are random.

    The contrast is that of the row "CDL, tuned" of `astra compare contrast-limited`, for all windows of a batch.

    Source: appendix A.11, which suggests it without trying it. `tabletop-pretrained` continues from it.
    """
    contrast = replace(NORMALIZED, cdl_fraction=1.0, contrastive_only=True)
    return _limited(replace(fast_training(2_000, timesteps=2, parts=2), contrastive=contrast))


def tabletop_pretrained() -> Experiment:
    """Behavior cloning after tabletop-pretraining: otherwise the row "augmentation alone" of contrast-limited.

    astra train tabletop-pretraining
    astra train tabletop-pretrained
    astra evaluate runs/tabletop-pretrained/checkpoints/best --levels L1 L2 L3 --episodes 50 --agents policy
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor

    With seed 0 the success rate was 0.69 at L1, 0.52 at L2 and 0.40 at L3; without pretraining, 0.93, 0.80 and 0.74.
    """
    training = fast_training(4_000, timesteps=2, parts=2)
    return _limited(replace(training, validation_every=250, keep_best=HELD_OUT_LOSS, init_from=PRETRAINING))


def _limited(training: TrainingConfig) -> Experiment:
    """Return an experiment on 12,000 augmented demonstrations, with actions that are embedded as numbers."""
    experiment = tabletop_short()
    return replace(
        experiment,
        dataset=Path("data/tabletop-limited"),
        policy=replace(experiment.policy, actions=SUCTION_NUMBERS),
        training=replace(training, augmentation=AugmentationConfig()),
    )
