"""Configuration of training."""

from dataclasses import dataclass
from typing import Literal

from astra.augmentation.pictures import AugmentationConfig
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.storage.numbers import Count, NotNegative, Positive, Seed, Share, Workers, check_numbers
from astra.training.optimizer import OptimizerName

Tracker = Literal["none", "tensorboard", "wandb", "trackio"]

HELD_OUT_LOSS = "loss"
"""Value of `TrainingConfig.keep_best` that chooses by the loss on held-out windows."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Configuration of training."""

    updates: Count = 20_000
    """Number of updates of the run."""
    max_minutes: Positive | None = None
    """Minutes of training after which the run ends early; the learning rate then follows the time. None: no limit.
    Resuming is exact bit for bit only without a limit."""
    batch_size: Count = 256
    """Trajectories per update, over all processes and micro-batches."""
    timesteps: Count = 20
    """Length of the training windows in timesteps, T."""
    last_timestep_only: bool = False
    """Whether the loss counts only the last timestep of a window. Windows then end at each timestep of an episode,
    instead of starting there, and are as independent as single timesteps; so do those of validation. Deviation: the
    paper's loss counts all timesteps."""
    gradient_accumulation_steps: Count = 1
    """Micro-batches per update and process. They group windows of similar length, which saves memory and padding. The
    loss of behavior cloning stays the same; contrastive negatives come from one micro-batch only."""
    learning_rate: Positive = 1e-3
    """Peak learning rate. Source: the paper has 1e-4 (sections 4.3, 4.4) and 9e-4 (4.5)."""
    warmup: Share = 0.03
    """Fraction of the run with linear warm-up; then the learning rate falls to 0 along a cosine."""
    optimizer: OptimizerName = "adamw"
    """AdamW; or Muon for the matrices of linear layers, with AdamW for the rest. Deviation: the paper uses AdamW."""
    weight_decay: NotNegative = 0.1
    """Weight decay of the matrices of layers; other parameters have none (see optimizer.py). Source: section 4.3."""
    betas: tuple[Share, Share] = (0.9, 0.95)
    """Decay rates of AdamW's first and second moments."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient."""
    ema_max_decay: Share = 0.9999
    """Maximum EMA decay. EMA weights are validated and saved; 0 disables EMA. Deviation: the paper does not say."""
    ema_power: NotNegative = 0.75
    """Exponent by which the EMA decay grows with the updates. Source: Diffusion Policy."""
    state_noise: NotNegative = 0.0
    """Standard deviation of noise added to state vectors in training, as a fraction of that of the data. Deviation: the
    paper has none."""
    shuffle_objects: bool = False
    """Whether objects are listed in a random order, for datasets whose order of objects gives away their roles."""
    augmentation: AugmentationConfig | None = None
    """Augmentation of the frames and objects that behavior cloning sees. None: none. That of contrastive positives is
    part of `contrastive`. Source: the paper augments for contrastive dynamics learning only."""
    contrastive: ContrastiveConfig | None = None
    """Contrastive dynamics learning in addition to behavior cloning. None: none. Source: section 3.3."""
    init_from: str | None = None
    """Run or policy folder with the initial weights, matched by the names of cameras, state vectors, action dimensions
    and words; what is new keeps random weights. None: random weights."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of activations; auto: bfloat16 if the GPU or the CPU multiplies in it, else float32."""
    threads: Workers | None = None
    """Number of CPU threads. None: PyTorch's default."""
    seed: Seed = 0
    """Seed of weights, data order and dropout."""
    log_every: Count = 50
    """Updates between records of the training loss."""
    validation_every: Count = 500
    """Updates between validations."""
    validation_windows: Count = 1024
    """Largest number of held-out windows in a validation."""
    evaluate_every: Count | None = None
    """Updates between rollouts in the simulator. None: no rollouts during training."""
    checkpoint_every: Count = 500
    """Updates between checkpoints."""
    keep_checkpoints: Count = 2
    """Number of newest checkpoints that are kept."""
    keep_best: str | None = None
    """Measure of the checkpoint that is kept beside the newest ones, as checkpoints/best: `loss`, the lowest loss on
    the held-out windows, or a metric of the rollouts, such as reward, at its highest; that one needs `evaluate_every`.
    None: only the newest are kept."""
    tracker: Tracker = "none"
    """Experiment tracker that gets the metrics too, besides metrics.jsonl."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: if a value is out of range; the message names the field.
        """
        check_numbers(self, "training")
        if self.keep_best not in (None, HELD_OUT_LOSS) and self.evaluate_every is None:
            raise ValueError(
                f"training.keep_best={self.keep_best} chooses a checkpoint by rollouts, and there are none: set "
                f"training.evaluate_every, or choose by the held-out windows with training.keep_best={HELD_OUT_LOSS}"
            )
        if self.keep_best == HELD_OUT_LOSS and self.contrastive is not None and self.contrastive.contrastive_only:
            raise ValueError(
                f"training.keep_best={HELD_OUT_LOSS} chooses a checkpoint by the held-out loss of behavior cloning, "
                f"which training.contrastive.contrastive_only leaves out: set one or the other"
            )
