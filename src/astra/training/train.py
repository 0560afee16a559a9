"""Training loop: windows of trajectories in, a run folder of checkpoints and metrics out."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from jaxtyping import Int64
from torch import Tensor
from torch.distributed.tensor import DTensor

from astra.augmentation.object_order import shuffle_objects
from astra.augmentation.state_noise import add_state_noise
from astra.contrastive_dynamics.negatives import Contrast
from astra.datasets.windows import Windows
from astra.parallel.interruption import Interruption
from astra.parallel.processes import in_main
from astra.policies import name_of
from astra.policies.policy import PolicyConfig
from astra.storage.config_json import to_json
from astra.training.config import HELD_OUT_LOSS, TrainingConfig
from astra.training.objective import MetricMeans
from astra.training.optimizer import learning_rate_factor, set_learning_rate
from astra.training.rollouts import Evaluate, roll_out, rollouts_are_missing
from astra.training.run_folder import RunFolder, check_run_folder
from astra.training.run_log import RunLog, check_tracker
from astra.training.run_state import RunState
from astra.training.setup import Learner, build_accelerator, build_learner, build_state, precision_of, restore
from astra.training.validation import validate, validate_contrast
from astra.trajectory import Statistics, Trajectory

CONTRASTED_WINDOWS = 256
"""Largest number of held-out windows in the validation of contrastive dynamics learning."""


def train(
    policy_config: PolicyConfig,
    config: TrainingConfig,
    train_windows: Windows,
    validation_windows: Windows,
    run_folder: Path,
    *,
    statistics: Statistics,
    resume: bool = False,
    extend: bool = False,
    shard: bool = False,
    evaluate: Evaluate | None = None,
    description: Mapping[str, Any] | None = None,
) -> Path:
    """Train a policy and return the policy folder of the last checkpoint.

    Args:
        policy_config: configuration of the policy.
        config: configuration of training.
        train_windows: windows of the training episodes.
        validation_windows: windows of the held-out episodes.
        run_folder: folder of the run; created if it is missing.
        statistics: statistics of the training episodes.
        resume: continue from the newest checkpoint in the run folder, if there is one.
        extend: accept another number of updates or minutes than the run in the folder has, and go on to that length.
        shard: split weights, gradients, moments and EMA over the processes, instead of a copy in each.
        evaluate: function that rolls the EMA policy out and returns metrics, called every `evaluate_every` updates in
            every process; the main process records them.
        description: written to config.json too, such as dataset and command line.

    Raises:
        ValueError: if the policy is listed nowhere; if the folder holds another run or other things, or this run
            unfinished and `resume` is not set; if another process works on it; if the windows or the batch size do not
            fit the configuration; if the loss becomes NaN or infinite.
        KeyboardInterrupt: after SIGINT or SIGTERM (then a `Terminated`), once a checkpoint has been written.
    """
    # ---- Set-up
    name_of(type(policy_config))  # a policy without a name could be trained, but not saved
    check_tracker(config.tracker)
    check_run_folder(run_folder)
    if train_windows.timesteps != config.timesteps:
        raise ValueError(
            f"got windows of {train_windows.timesteps} timesteps for training.timesteps={config.timesteps}: make both "
            f"equal"
        )
    if train_windows.ending != config.last_timestep_only:
        raise ValueError(
            f"got windows with ending={train_windows.ending} for training.last_timestep_only="
            f"{config.last_timestep_only}: make both equal"
        )
    precision = precision_of(config, run_folder)
    accelerator = build_accelerator(config, precision, run_folder)
    state = build_state(policy_config, config, train_windows, statistics, accelerator)
    budget = state.budget
    folder = RunFolder(run_folder, keep=config.keep_checkpoints)
    identity = {"policy": to_json(policy_config), "training": to_json(config), "spec": to_json(train_windows.spec)}
    with ExitStack() as started_run:
        in_main(lambda: started_run.enter_context(folder.held()))
        in_main(lambda: folder.prepare(identity, {"precision": precision, **(description or {})}, extend=extend))
        if told := restore(state, folder, resume=resume, init_from=config.init_from):
            accelerator.print(told)
        changed = ""
        if extend:
            changed = in_main(lambda: folder.change_length(identity["training"], budget))
        played = evaluate is None or not in_main(partial(rollouts_are_missing, folder, budget, config))
        if budget.finished and played:
            accelerator.print(f"{run_folder} holds this run, finished after {budget.update} updates")
            return _newest_policy(folder)
        in_main(folder.record_machine)
        learner = build_learner(state, config, train_windows, accelerator, shard=shard)
        log = started_run.enter_context(RunLog(accelerator, run_folder, identity, budget))
        interruption = started_run.enter_context(Interruption())
        if changed:
            log.print(changed)
        size = sum(weight.numel() for weight in learner.policy.parameters() if weight.requires_grad)
        log.print(f"training {size:,} weights on {len(train_windows):,} windows, {accelerator.device}, {run_folder}")
        if evaluate is not None and not played:
            learner.gather()
            roll_out(evaluate, state.ema.policy, folder, config, log, interruption)
        means, timesteps, logged_seconds = MetricMeans(), 0, budget.seconds
        skipped, norm = 0, torch.zeros(())
        while not budget.finished:
            # ---- Batch and learning rate
            started = time.monotonic()
            _seed_update(config.seed, budget.update, accelerator.process_index)
            learning_rate = config.learning_rate * learning_rate_factor(budget.share(within_update=0.5), config.warmup)
            set_learning_rate(learner.optimizer, learning_rate)
            train_windows.begin_epoch(int(state.sampler.epoch))
            batches = [train_windows.batch(part) for part in split_batch(train_windows, next(state.sampler), config)]
            alpha = 0.0 if config.contrastive is None else config.contrastive.weight_at(budget.share(within_update=0.5))
            contrasts = [config.contrastive.draw(batch) if config.contrastive and alpha else None for batch in batches]
            batches = [add_state_noise(batch, statistics, config.state_noise) for batch in batches]
            batches = list(map(shuffle_objects, batches)) if config.shuffle_objects else batches

            # ---- Update
            if _anything_to_learn(accelerator, batches):
                norm = _update(accelerator, learner, batches, contrasts, alpha, config.gradient_clip, means)
                learner.ema.update(learner.policy)
            else:
                skipped += 1
            timesteps += sum(int(batch.valid.sum()) for batch in batches)
            seconds, stop = _mean_over_processes(
                accelerator, time.monotonic() - started, float(interruption.requested is not None)
            )
            budget.spend(seconds)
            log.advance()

            # ---- Log, validate, save, roll out
            if budget.is_due(config.log_every):
                metrics = means.pop(accelerator) if means else {}
                _check_finite(metrics.get("loss", 0.0), budget.update, folder)
                if skipped:
                    log.print(f"update {budget.update}: skipped {skipped} updates whose windows hold no action")
                    metrics["skipped_updates"] = float(skipped)
                speed = timesteps * accelerator.num_processes / (budget.seconds - logged_seconds)
                metrics |= {"learning_rate": learning_rate, "gradient_norm": float(norm)}
                metrics |= {} if config.contrastive is None else {"contrastive_weight": alpha}
                log.write("train", {**metrics, "timesteps_per_second": speed, "epoch": state.sampler.epoch})
                skipped, timesteps, logged_seconds = 0, 0, budget.seconds
            plays = evaluate is not None and budget.is_due(config.evaluate_every)
            validates = budget.is_due(config.validation_every)
            saves = budget.is_due(config.checkpoint_every) or plays or stop
            if validates or saves:
                learner.gather()
            score = None
            if validates:
                validated = _validate(accelerator, state, validation_windows, config)
                log.write("validation", validated)
                score = -validated["loss"] if config.keep_best == HELD_OUT_LOSS else None
            best = score is not None and in_main(partial(_is_best, folder, score))  # no score: in no process
            if saves or best:
                in_main(partial(_save, state, folder, score))
            if stop and (plays or not budget.finished):
                told = f"interrupted after {budget.update} updates; continue with --resume"
                raise interruption.error(f"{run_folder}: {told}")
            if evaluate is not None and plays:
                roll_out(evaluate, state.ema.policy, folder, config, log, interruption)
    return _newest_policy(folder)


def split_batch(
    windows: Windows, indices: Int64[np.ndarray, " B"], config: TrainingConfig
) -> list[Int64[np.ndarray, " _"]]:
    """Split a batch into micro-batches of nearly equal size.

    Shorter windows come first, unless contrastive anchors need several timesteps, which each part then has to hold. A
    single micro-batch keeps its order.
    """
    parts = config.gradient_accumulation_steps
    if parts > 1 and (config.contrastive is None or config.contrastive.min_timesteps == 1):
        indices = indices[np.argsort(windows.lengths(indices), kind="stable")]
    return np.array_split(indices, parts)


def _update(
    accelerator: Accelerator,
    learner: Learner,
    batches: Sequence[Trajectory],
    contrasts: Sequence[Contrast | None],
    alpha: float,
    gradient_clip: float,
    means: MetricMeans,
) -> Tensor:
    """Minimize the mean over the valid action entries of all micro-batches; return the norm of the gradient."""
    objective, counts = learner.objective, []
    for batch, contrast in zip(batches, contrasts, strict=True):
        last = batch is batches[-1]
        with nullcontext() if last else accelerator.no_sync(objective):
            with accelerator.autocast():
                on_device = None if contrast is None else contrast.to(accelerator.device)
                cost = objective(batch.to(accelerator.device), on_device, alpha)
            accelerator.backward(cost.loss * cost.count)
        means.add(cost)
        counts.append(cost.count)
    # The gradient is now that of a sum over entries, averaged over the processes by accelerate.
    total = accelerator.reduce(torch.stack(counts).sum().float(), "mean")
    assert isinstance(total, Tensor)
    total = torch.where(total > 0, total, 1.0)  # without entries the gradient is 0
    gradients = [weight.grad for weight in objective.parameters() if weight.grad is not None]
    torch._foreach_div_(gradients, total)  # pyright: ignore[reportPrivateImportUsage]
    norm = accelerator.clip_grad_norm_(objective.parameters(), gradient_clip)
    learner.optimizer.step()
    learner.optimizer.zero_grad()
    assert isinstance(norm, Tensor)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _anything_to_learn(accelerator: Accelerator, batches: Sequence[Trajectory]) -> bool:
    """Whether a window of any process holds an action; asked on the CPU, so that a GPU need not be waited for."""
    actions = sum(int((batch.action_valid[:, : batch.num_timesteps] & batch.counted).sum()) for batch in batches)
    return _mean_over_processes(accelerator, float(actions))[0] > 0


def _seed_update(seed: int, update: int, process: int) -> None:
    """Seed every update by its number: a resumed run needs no random state, and validation cannot change it."""
    set_seed(int(np.random.SeedSequence((seed, update, process)).generate_state(1)[0]))


def _mean_over_processes(accelerator: Accelerator, *values: float) -> list[float]:
    """Average values over the processes, so that all take the same decisions."""
    if accelerator.num_processes == 1:
        return list(values)
    means = accelerator.reduce(torch.tensor(values, device=accelerator.device), "mean")
    assert isinstance(means, Tensor)
    return means.tolist()


def _validate(accelerator: Accelerator, state: RunState, windows: Windows, config: TrainingConfig) -> dict[str, float]:
    parts = config.gradient_accumulation_steps  # which are chosen so that a micro-batch fits into memory
    sizes = {"num_windows": config.validation_windows, "batch_size": max(1, config.batch_size // parts)}
    metrics = validate(accelerator, state.ema.policy, windows, **sizes)
    if state.contrastive is not None:
        sizes["num_windows"] = min(sizes["num_windows"], CONTRASTED_WINDOWS)
        state.policy.eval()  # not the EMA policy: the contrastive head is trained with these weights
        metrics |= validate_contrast(accelerator, state.policy, state.contrastive, windows, **sizes)
        state.policy.train()
    return metrics


def _is_best(folder: RunFolder, score: float | None) -> bool:
    return score is not None and score > folder.best_score()


def _save(state: RunState, folder: RunFolder, score: float | None) -> None:
    with folder.new_checkpoint(state.budget.update, score) as checkpoint:
        state.save(checkpoint)


def _newest_policy(folder: RunFolder) -> Path:
    newest = in_main(folder.newest_checkpoint)
    assert newest is not None
    return newest / "policy"


def _check_finite(loss: float, update: int, folder: RunFolder) -> None:
    if not math.isfinite(loss):
        newest = folder.newest_checkpoint()
        kept = "There is no checkpoint yet" if newest is None else f"The newest checkpoint is {newest}"
        raise ValueError(
            f"the loss became {loss} before update {update}: lower --training.learning-rate or "
            f"--training.gradient-clip, or use --training.precision float32, in another folder (--output). {kept}"
        )
