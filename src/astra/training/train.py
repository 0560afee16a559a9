"""The training loop, top to bottom: windows of trajectories in, a folder of checkpoints and metrics out."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, set_seed
from jaxtyping import Int64
from torch import Tensor
from torch.distributed.tensor import DTensor

from astra.augmentation.object_order import shuffle_objects
from astra.augmentation.pictures import AugmentationConfig
from astra.augmentation.state_noise import add_state_noise
from astra.contrastive_dynamics.enough_episodes import check_episodes
from astra.contrastive_dynamics.negatives import Contrast
from astra.contrastive_dynamics.objective import ContrastiveConfig, ContrastiveDynamics
from astra.datasets.batches import BatchSampler
from astra.datasets.windows import Windows
from astra.parallel.processes import in_main
from astra.policies.checkpoint import MODEL, fill, load_tensors, policy_folder
from astra.policies.policy import Policy, PolicyConfig
from astra.storage.config_json import to_json
from astra.training.allocator import keep_freed_memory
from astra.training.budget import Budget
from astra.training.ema import EMA
from astra.training.interruption import Interruption
from astra.training.objective import Means, Objective
from astra.training.optimizer import build_optimizer, learning_rate_factor
from astra.training.run_folder import RunFolder
from astra.training.run_log import RunLog, Tracker, check_tracker
from astra.training.run_state import RunState
from astra.training.sharding import ShardedRun
from astra.training.validation import validate, validate_contrast
from astra.trajectory import Statistics, Trajectory

CONTRASTED_WINDOWS = 256
"""Held-out windows in which validation tells right dynamics from wrong ones, at most."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a policy is trained."""

    updates: int = 20_000
    """Updates of the whole run."""
    max_minutes: float | None = None
    """Minutes of training after which the run ends earlier, the learning rate following the share of time that is
    spent; None: no limit. Resuming is exact bit for bit only without a limit of time."""
    batch_size: int = 256
    """Trajectories per update, over all processes and micro-batches."""
    timesteps: int = 20
    """T, the length of the windows that are trained on."""
    gradient_accumulation_steps: int = 1
    """Micro-batches per process into which an update's batch is cut, by the length of its windows: to save memory, and
    padding where episodes are short. What is cloned is the same; negatives are made inside a micro-batch."""
    learning_rate: float = 1e-3
    """The highest one, after the warm-up. Source: the paper has 1e-4 (sections 4.1, 4.2) and 9e-4 (4.3)."""
    warmup: float = 0.03
    """Share of the run in which the learning rate rises from 0; then it falls to 0 along a cosine."""
    weight_decay: float = 0.1
    """Of weight matrices; biases, norms, embeddings and queries have none. Source: 0.1 in section 4.1."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of AdamW's first and second moments."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_max_decay: float = 0.9999
    """Largest decay of the moving average of the weights, which is what is validated and kept; 0: the last weights."""
    ema_power: float = 0.75
    """How fast that decay grows with the updates. Source: Diffusion Policy."""
    state_noise: float = 0.0
    """Standard deviation of noise added to state vectors in training, as a share of that of the data."""
    shuffle_objects: bool = False
    """Whether objects are listed in an order drawn anew at each reading, where that of the data tells their roles."""
    augmentation: AugmentationConfig | None = None
    """Of the frames and objects that behavior cloning sees; None: as they were recorded. It is not that of the
    positives, which `contrastive` holds. Source: the paper augments with contrastive dynamics learning only."""
    contrastive: ContrastiveConfig | None = None
    """Contrastive dynamics learning beside behavior cloning; None: none. Source: section 3.3."""
    init_from: str | None = None
    """A run or a policy's folder whose averaged weights are those at the start; None: new weights."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of activations; auto: bfloat16 where a GPU has it."""
    threads: int | None = None
    """Threads of the CPU; None: PyTorch's own choice."""
    seed: int = 0
    """Of weights, data order and dropout."""
    log_every: int = 50
    """Updates between records of the training loss."""
    validation_every: int = 500
    """Updates between validations."""
    validation_windows: int = 1024
    """Held-out windows that a validation reads at most."""
    evaluate_every: int | None = None
    """Updates between rollouts during training; None: no rollouts."""
    checkpoint_every: int = 500
    """Updates between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    tracker: Tracker = "none"
    """Where metrics go besides metrics.jsonl."""

    def __post_init__(self) -> None:
        """Check what cannot be trained with.

        Raises:
            ValueError: naming the field.
        """
        counts = (
            "updates",
            "batch_size",
            "timesteps",
            "gradient_accumulation_steps",
            "threads",
            "log_every",
            "validation_every",
        )
        counts += ("validation_windows", "evaluate_every", "checkpoint_every", "keep_checkpoints")
        for name in counts:
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"training.{name} must be at least 1, got {value}")
        if not 0 <= self.warmup < 1 or not 0 <= self.ema_max_decay < 1:
            raise ValueError(
                f"warmup and ema_max_decay lie in 0 to below 1, got {self.warmup} and {self.ema_max_decay}"
            )
        if self.state_noise < 0:
            raise ValueError(f"training.state_noise must not be negative, got {self.state_noise}")
        for name in ("learning_rate", "gradient_clip", "max_minutes"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise ValueError(f"training.{name} must be above 0, got {value}")


def train(
    policy_config: PolicyConfig,
    config: TrainingConfig,
    train_windows: Windows,
    validation_windows: Windows,
    run_folder: Path,
    *,
    statistics: Statistics,
    resume: bool = False,
    shard: bool = False,
    evaluate: Callable[[Policy[Any]], Mapping[str, float]] | None = None,
    description: Mapping[str, Any] | None = None,
) -> Path:
    """Train a policy and give the folder of the last checkpoint's policy.

    Args:
        policy_config: the policy, built from the windows' spec and the statistics.
        config: how it is trained.
        train_windows: to learn from.
        validation_windows: of held-out episodes.
        run_folder: made, or continued.
        statistics: of the training episodes.
        resume: continue the run that the folder holds, from its newest checkpoint; begin where it holds none.
        shard: cut weights, gradients, moments and average over the processes, instead of a copy in each.
        evaluate: rolls the averaged policy out and gives what to record, every `evaluate_every` updates; called in
            every process, and recorded by the main one.
        description: written to config.json with the rest: dataset, command line.

    Raises:
        ValueError: if the folder holds another run, or this one unfinished and `resume` is not set; if the windows
            or the batch's share of a process do not fit the configuration; if the loss becomes NaN or infinite.
        KeyboardInterrupt: after SIGINT or SIGTERM, when a checkpoint has been written.
    """
    check_tracker(config.tracker)
    if train_windows.timesteps != config.timesteps:
        raise ValueError(f"got windows of {train_windows.timesteps} timesteps for timesteps={config.timesteps}")
    accelerator = _accelerator(config, run_folder)
    budget = Budget(updates=config.updates, max_minutes=config.max_minutes)

    # ---- What is trained
    set_seed(config.seed)
    policy = policy_config.build(train_windows.spec, statistics).to(accelerator.device)
    ema = EMA(policy, ceiling=config.ema_max_decay, power=config.ema_power)
    contrastive = None
    if config.contrastive is not None:
        contrastive = ContrastiveDynamics(config.contrastive, policy).to(accelerator.device)
    optimizer = build_optimizer(
        policy,
        contrastive,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=config.betas,
    )
    order = BatchSampler(
        len(train_windows),
        _share_of_batch(config, accelerator, train_windows),
        seed=config.seed,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    state = RunState(policy=policy, ema=ema, optimizer=optimizer, order=order, budget=budget, contrastive=contrastive)

    # ---- The folder, and where an earlier start ended
    run = RunFolder(run_folder, keep=config.keep_checkpoints)
    identity = {"policy": to_json(policy_config), "training": to_json(config), "spec": to_json(train_windows.spec)}
    in_main(lambda: run.claim(identity, description or {}))
    newest = in_main(run.newest)
    if newest is not None:
        state.load(newest)
        if budget.finished:
            accelerator.print(f"{run_folder} holds this run already, finished after {budget.update} updates")
            return newest / "policy"
        if not resume:
            raise ValueError(
                f"{run_folder} holds this run already, unfinished after {budget.update} updates: continue it with "
                f"--resume, or choose another folder"
            )
    elif config.init_from is not None:
        source = policy_folder(Path(config.init_from))
        weights = load_tensors(source / MODEL)
        for beginner in (policy, ema.policy):
            fill(beginner, weights, str(source))
    in_main(run.name_machine)
    sharded = ShardedRun(state, config.augmentation) if shard else None
    if sharded is None:
        plain = Objective(policy, contrastive, config.augmentation)
        if accelerator.num_processes > 1:
            assert accelerator.ddp_handler is not None
            left_alone = _leaves_weights_alone(plain.eval(), train_windows, config)
            accelerator.ddp_handler.find_unused_parameters = left_alone
        objective, optimizer = accelerator.prepare(plain.train(), optimizer)
    else:
        objective, optimizer = sharded.objective, accelerator.prepare(sharded.optimizer)
        policy, ema = objective.policy, sharded.ema

    # ---- The loop
    with RunLog(accelerator, run_folder, identity, budget) as log, Interruption() as interruption:
        size = sum(weight.numel() for weight in policy.parameters() if weight.requires_grad)
        log.say(f"training {size:,} weights on {len(train_windows):,} windows, {accelerator.device}, {run_folder}")
        means, timesteps, since = Means(), 0, budget.seconds
        while not budget.finished:
            started = time.monotonic()
            _seed_update(config.seed, budget.update, accelerator.process_index)
            factor = learning_rate_factor(budget.share(within_update=0.5), config.warmup)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * factor
            batches = [
                add_state_noise(train_windows.batch(part), statistics, config.state_noise)
                for part in by_length(train_windows, next(order), config.gradient_accumulation_steps)
            ]
            if config.shuffle_objects:
                batches = list(map(shuffle_objects, batches))
            contrasts = [None if config.contrastive is None else config.contrastive.draw(batch) for batch in batches]
            norm = _update(accelerator, objective, optimizer, batches, contrasts, config.gradient_clip, means)
            ema.update(policy)
            timesteps += sum(int(trajectory.valid.sum()) for trajectory in batches)
            seconds, stop = _agree(accelerator, time.monotonic() - started, float(interruption.requested))
            budget.spend(seconds)

            if budget.is_due(config.log_every):
                speed = timesteps * accelerator.num_processes / (budget.seconds - since)
                values = means.take(accelerator)
                _check_finite(values["loss"], budget.update, run)
                rates = {"learning_rate": config.learning_rate * factor, "gradient_norm": float(norm)}
                log.write("train", {**values, **rates, "timesteps_per_second": speed, "epoch": order.epoch})
                timesteps, since = 0, budget.seconds
            every = config.validation_every, config.evaluate_every, config.checkpoint_every
            if sharded is not None and (stop or any(map(budget.is_due, every))):
                sharded.gather()
            if budget.is_due(config.validation_every):
                log.write("validation", _validate(accelerator, state, validation_windows, config))
            if evaluate is not None and budget.is_due(config.evaluate_every):
                log.write("evaluation", evaluate(state.ema.policy))
            if budget.is_due(config.checkpoint_every) or stop:
                in_main(lambda: _write(run, state))
            if stop and not budget.finished:
                log.say(f"interrupted after {budget.update} updates; continue with --resume")
                raise KeyboardInterrupt(f"{run_folder}: interrupted after {budget.update} updates")
    newest = in_main(run.newest)
    assert newest is not None
    return newest / "policy"


def by_length(windows: Windows, indices: Int64[np.ndarray, " B"], parts: int) -> list[Int64[np.ndarray, " _"]]:
    """Cut a batch into parts of nearly equal size, shorter windows first; a single part keeps its order."""
    if parts > 1:
        indices = indices[np.argsort(windows.lengths(indices), kind="stable")]
    return np.array_split(indices, parts)


def _update(
    accelerator: Accelerator,
    objective: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Trajectory],
    contrasts: Sequence[Contrast | None],
    gradient_clip: float,
    means: Means,
) -> Tensor:
    """Make one update on the mean over the valid action entries of all micro-batches; give the gradient's norm."""
    counts = []
    for batch, contrast in zip(batches, contrasts, strict=True):
        last = batch is batches[-1]
        with nullcontext() if last else accelerator.no_sync(objective):
            with accelerator.autocast():
                there = None if contrast is None else contrast.to(accelerator.device)
                cost = objective(batch.to(accelerator.device), there)
            accelerator.backward(cost.loss * cost.count)
        means.add(cost)
        counts.append(cost.count)
    # The gradient is that of a sum over entries now, which accelerate has averaged over the processes.
    total = accelerator.reduce(torch.stack(counts).sum().float(), "mean")
    assert isinstance(total, Tensor)
    gradients = [weight.grad for weight in objective.parameters() if weight.grad is not None]
    torch._foreach_div_(gradients, total)  # pyright: ignore[reportPrivateImportUsage]
    norm = accelerator.clip_grad_norm_(objective.parameters(), gradient_clip)
    optimizer.step()
    optimizer.zero_grad()
    assert isinstance(norm, Tensor)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _accelerator(config: TrainingConfig, run_folder: Path) -> Accelerator:
    keep_freed_memory()
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise ValueError("accelerate's own FSDP is not used here: launch without --use_fsdp, and train with --shard")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    mixed = config.precision == "bfloat16" or (config.precision == "auto" and has_bfloat16)
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="bf16" if mixed else "no",
        log_with=None if config.tracker == "none" else config.tracker,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        project_config=ProjectConfiguration(project_dir=str(run_folder), logging_dir=str(run_folder)),
    )


def _leaves_weights_alone(objective: Objective, windows: Windows, config: TrainingConfig) -> bool:
    """Tell whether a weight gets no gradient, as the tokenizer of actions where a window of one timestep reads none."""
    if config.contrastive is not None and config.contrastive.contrastive_only:
        return True
    device = next(objective.parameters()).device
    few = 1 if config.contrastive is None else min(8, len(windows))
    batch = windows.batch(np.linspace(0, len(windows) - 1, few).astype(np.int64))
    contrast = None if config.contrastive is None else config.contrastive.draw(batch).to(device)
    objective(batch.to(device), contrast).loss.backward()
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    left_alone = any(weight.grad is None for weight in weights)
    for weight in weights:
        weight.grad = None
    return left_alone


def _share_of_batch(config: TrainingConfig, accelerator: Accelerator, windows: Windows) -> int:
    share, rest = divmod(config.batch_size, accelerator.num_processes)
    if config.contrastive is not None:
        count = config.updates * config.gradient_accumulation_steps * accelerator.num_processes
        check_episodes(windows.per_episode, size=share // config.gradient_accumulation_steps, count=count)
    if rest or share < config.gradient_accumulation_steps:
        raise ValueError(
            f"a batch of {config.batch_size} cannot be shared among {accelerator.num_processes} processes with "
            f"{config.gradient_accumulation_steps} micro-batches each: choose a multiple of {accelerator.num_processes}"
        )
    return share


def _seed_update(seed: int, update: int, process: int) -> None:
    """Make chance a function of the update, so that it needs no state and validation cannot shift it."""
    set_seed(int(np.random.SeedSequence((seed, update, process)).generate_state(1)[0]))


def _agree(accelerator: Accelerator, *values: float) -> list[float]:
    """Average over the processes, so that all decide alike."""
    if accelerator.num_processes == 1:
        return list(values)
    ema = accelerator.reduce(torch.tensor(values, device=accelerator.device), "mean")
    assert isinstance(ema, Tensor)
    return ema.tolist()


def _validate(accelerator: Accelerator, state: RunState, windows: Windows, config: TrainingConfig) -> dict[str, float]:
    sizes = {"num_windows": config.validation_windows, "batch_size": config.batch_size}
    found = validate(accelerator, state.ema.policy, windows, **sizes)
    if state.contrastive is not None:
        sizes["num_windows"] = min(sizes["num_windows"], CONTRASTED_WINDOWS)
        state.policy.eval()  # not the average, which the head has never read
        found |= validate_contrast(accelerator, state.policy, state.contrastive, windows, **sizes)
        state.policy.train()
    return found


def _write(run: RunFolder, state: RunState) -> None:
    with run.checkpoint(state.budget.update) as folder:
        state.save(folder)


def _check_finite(loss: float, update: int, run: RunFolder) -> None:
    if not math.isfinite(loss):
        raise ValueError(
            f"the loss became {loss} before update {update}: try a lower learning_rate or gradient_clip, or "
            f"precision='float32'; the newest checkpoint is {run.newest()}"
        )
