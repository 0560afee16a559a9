"""Contrastive dynamics learning (CDL) on the tabletop's short tasks, with behavior cloning and as pretraining.

Demonstrations, the same as for `tabletop-short`; `astra compare table4` measures what each part contributes:

    astra collect tabletop --episodes 40000 --frames --output data/tabletop-frames
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
"""

from dataclasses import replace
from typing import Any

from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.experiments.experiment import Experiment
from astra.experiments.tabletop import tabletop_short

PRETRAINING = "runs/tabletop-pretraining"


def tabletop_contrastive() -> Experiment:
    """As tabletop-short, with contrastive dynamics learning in addition to behavior cloning.

    An update takes about twice as long.
    """
    return _short(contrastive=ContrastiveConfig())


def tabletop_pretraining() -> Experiment:
    """The encoder of tabletop-short, trained by contrastive dynamics learning only; its actions are random.

    Source: appendix A.11, which suggests it without trying it. `tabletop-pretrained` continues from it.
    """
    return _short(contrastive=ContrastiveConfig(cdl_fraction=1.0, contrastive_only=True))


def tabletop_pretrained() -> Experiment:
    """As tabletop-short, initialized from the encoder of tabletop-pretraining.

    astra train tabletop-pretraining
    astra train tabletop-pretrained
    """
    return _short(init_from=PRETRAINING)


def _short(**training: Any) -> Experiment:
    """Return tabletop-short with other settings of training."""
    experiment = tabletop_short()
    return replace(experiment, training=replace(experiment.training, **training))
