"""The tabletop and VIMA-Bench: prompts of words and pictures, object-centric observations, four generalization levels.

Every docstring has the command that collects the demonstrations. The tabletop is a lookalike of VIMA-Bench: its numbers
are not comparable with the paper's Table 1.

In all experiments a window holds a whole episode, so that the policy attends to everything since the first timestep,
and prompts have up to 64 words, enough for both benchmarks.
"""

from dataclasses import replace
from pathlib import Path

from astra.augmentation.pictures import AugmentationConfig
from astra.experiments.experiment import Experiment
from astra.policies.astra import AstraConfig
from astra.policies.sizes import astra_38m, astra_small
from astra.tokenizers.actions import DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.objects import ObjectConfig
from astra.training.config import TrainingConfig

WORDS = 64
LONGEST = 6
"""Timesteps of the longest of 1,300 demonstrations on the tabletop, 100 of each training task."""
TOP = ("observation.end_effector", "observation.objects.top")
"""Observations of the CPU runs. The side view shows the same objects again and would double the number of tokens."""
SUCTION_NUMBERS = DiscreteActionsConfig(head_frequencies=16, token_frequencies=8)
"""Actions of the tabletop whose past tokens are embedded as numbers."""


def small_policy() -> AstraConfig:
    """Return the small Astra of all CPU runs on prompts with pictures."""
    return replace(
        astra_small(),
        layers=3,
        dropout=0.1,
        soft_labels=1.0,
        language=LanguageConfig(max_tokens=WORDS),
        actions=DiscreteActionsConfig(head_frequencies=16),
    )


def small_training(updates: int, timesteps: int, threads: int, parts: int) -> TrainingConfig:
    """Return a training of so many updates on so many threads, with each batch split into parts by length."""
    return TrainingConfig(
        updates=updates,
        batch_size=64,
        timesteps=timesteps,
        gradient_accumulation_steps=parts,
        learning_rate=1e-3,
        weight_decay=0.1,
        ema_max_decay=0.999,
        precision="float32",
        threads=threads,
        log_every=100,
        validation_every=500,
        checkpoint_every=1000,
    )


def fast_training(updates: int, timesteps: int, parts: int) -> TrainingConfig:
    """Return a training as `small_training` on one thread, with Muon and in bfloat16: it needs half of the updates."""
    training = small_training(updates, timesteps, threads=1, parts=parts)
    return replace(training, optimizer="muon", precision="bfloat16")


def tabletop() -> Experiment:
    """Astra (small) on the tabletop's 13 training tasks, for the levels L1 to L4.

    astra collect tabletop --episodes 130000 --output data/tabletop

    Collecting takes about half an hour on one core, and training two to three hours where it multiplies in bfloat16.
    Muon learns in less than half of AdamW's updates here (docs/results.md). Fixed before the run, for the last
    checkpoint and 50 episodes per task: at L1 and L2 at least 0.80 (aim 0.90), at L3 at least 0.60, and intervals above
    those of the controls `shuffled` and `blank`. The success rate was 0.84 at L1, 0.76 at L2, which misses the bar,
    0.68 at L3 and 0.16 at L4; with the prompt of another episode it was 0.13, 0.14, 0.05 and 0.04.
    """
    return Experiment(
        dataset=Path("data/tabletop"),
        observations=TOP,
        stride=LONGEST,
        policy=replace(small_policy(), layers=4),
        training=replace(fast_training(24_000, timesteps=LONGEST, parts=4), augmentation=AugmentationConfig()),
    )


SHORT_TASKS = ("visual_manipulation", "rotate", "scene_understanding", "manipulate_old_neighbor")
"""Three tasks of one step, and one of two steps that needs memory of the first."""


def tabletop_short() -> Experiment:
    """Astra (small) on three tasks of one step and one that needs memory: the setting for comparisons.

    astra collect tabletop --episodes 40000 --frames --output data/tabletop-frames
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
    astra evaluate runs/tabletop-short --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor

    It is the row Astra of `astra compare table1 --scale cpu`; other rows of that table use the frames. Collecting takes
    about ten minutes on two cores, and training 20 on one. The success rate was 0.97 at L1, 0.73 at L2 and 0.65 at L3;
    with the prompt of another episode it was 0.07 at each. With AdamW it was 0.83, 0.66 and 0.51 after as many updates.
    """
    return Experiment(
        dataset=Path("data/tabletop-frames"),
        observations=TOP,
        stride=2,
        policy=small_policy(),
        training=fast_training(5000, timesteps=2, parts=2),
    )


def vima_bench() -> Experiment:
    """Table 1, row Astra: L1 97.08, L2 94.62, L3 86.17, L4 49.50 (with CDL). Astra (38M), T5, object tokens by a ViT.

    astra collect vima-bench --episodes 650000 --output data/vima-bench-650k
    astra evaluate runs/vima-bench --episodes 100

    Without CDL, as here, Table 4 has 94.69, 92.15, 85.83 and 50.00. The paper gives the size, the kinds of encoders,
    10 epochs, the learning rate, the weight decay and 100 trials per task. The number of demonstrations is VIMA's
    (50,000 for each of 13 tasks); batch size and ViT are VIMA's or ours. Not run yet; `python -m astra.profiling.cost`
    estimates its cost.
    """
    return Experiment(
        dataset=Path("data/vima-bench-650k"),
        stride=LONGEST,
        policy=replace(
            astra_38m(),
            language=LanguageConfig(pretrained="t5-base", max_tokens=WORDS),
            states=StateConfig(objects=ObjectConfig(encoder="vit", frequencies=0)),
        ),
        training=TrainingConfig(
            updates=48_242,  # 10 epochs of 617,500 episodes; 5% of 650,000 are held out
            batch_size=128,
            timesteps=LONGEST,
            learning_rate=1e-4,
            weight_decay=0.1,
        ),
    )


def vima_bench_cpu() -> Experiment:
    """Astra (small) on 6 of VIMA-Bench's training tasks, with few demonstrations; not comparable with Table 1.

    astra collect vima-bench --episodes 5000 --output data/vima-bench-cpu --tasks visual_manipulation rotate \
        scene_understanding novel_adj novel_noun manipulate_old_neighbor
    astra evaluate runs/vima-bench-cpu/checkpoints/000750 --episodes 20 --workers 2 --tasks visual_manipulation \
        rotate scene_understanding novel_adj novel_noun manipulate_old_neighbor

    Collecting takes about 3 core-hours. The policy overfits so few demonstrations: the validation loss is lowest after
    750 updates, so early checkpoints are kept. L4 has none of these tasks; evaluate it with --levels L4.
    """
    training = small_training(3000, timesteps=LONGEST, threads=2, parts=4)
    return Experiment(
        dataset=Path("data/vima-bench-cpu"),
        observations=TOP,
        stride=LONGEST,
        policy=small_policy(),
        training=replace(
            training,
            batch_size=128,
            shuffle_objects=True,
            augmentation=AugmentationConfig(shift=0.125, brightness=0.2, contrast=0.3),
            validation_every=250,
            checkpoint_every=250,
            keep_checkpoints=12,
        ),
    )


def vima_bench_cpu_with_tabletop() -> Experiment:
    """As vima-bench-cpu, with 40,000 demonstrations on the tabletop in addition, which teach the meaning of prompts.

    astra collect vima-bench --episodes 5000 --output data/vima-bench-cpu --tasks visual_manipulation rotate \
        scene_understanding novel_adj novel_noun manipulate_old_neighbor
    astra collect tabletop --episodes 40000 --output data/tabletop-short \
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
    astra convert lerobot data/vima-bench-cpu data/tabletop-short --output data/vima-and-tabletop
    astra evaluate runs/vima-bench-cpu-with-tabletop --episodes 20 --workers 2 --tasks visual_manipulation \
        rotate scene_understanding novel_adj novel_noun manipulate_old_neighbor

    VIMA-Bench comes first in the merged dataset, because the bins of the first are kept. On the six tasks the success
    rate was 0.73 at L1, 0.56 at L2 and 0.80 at L3; with the prompt of another episode it was 0.31, 0.27 and 0.38.
    """
    alone = vima_bench_cpu()
    training = replace(
        alone.training,
        updates=8000,
        batch_size=64,
        gradient_accumulation_steps=2,
        threads=1,
        validation_every=500,
        keep_checkpoints=2,
    )
    return replace(alone, dataset=Path("data/vima-and-tabletop"), training=replace(training, checkpoint_every=1000))


def vima_bench_cpu_long() -> Experiment:
    """As vima-bench-cpu-with-tabletop, with twice the demonstrations and with Muon: the run for a success rate of 0.80.

    astra collect vima-bench --episodes 10000 --output data/vima-bench-10000 --tasks visual_manipulation rotate \
        scene_understanding novel_adj novel_noun manipulate_old_neighbor
    astra collect tabletop --episodes 40000 --output data/tabletop-short \
        --tasks visual_manipulation rotate scene_understanding manipulate_old_neighbor
    astra convert lerobot data/vima-bench-10000 data/tabletop-short --output data/vima-10000-and-tabletop
    astra evaluate runs/vima-bench-cpu-long --episodes 20 --agents policy shuffled --tasks visual_manipulation \
        rotate scene_understanding novel_adj novel_noun manipulate_old_neighbor

    Not run yet: about 8 core-hours, 5 of them for collecting. Fixed before the run, for the last checkpoint: at L1 at
    least 0.80, and an interval above that of `shuffled`.
    """
    with_tabletop = vima_bench_cpu_with_tabletop()
    training = replace(
        with_tabletop.training,
        updates=16_000,
        optimizer="muon",
        precision="bfloat16",
    )
    return replace(
        with_tabletop,
        dataset=Path("data/vima-10000-and-tabletop"),
        policy=replace(with_tabletop.policy, layers=4),
        training=training,
    )
