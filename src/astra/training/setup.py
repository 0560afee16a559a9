"""Set-up of a run: what is trained, where an earlier start ended, and how several processes share the work."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, set_seed
from torch import nn

from astra.contrastive_dynamics.enough_episodes import check_episodes
from astra.contrastive_dynamics.objective import ContrastiveDynamics
from astra.datasets.mixture import MixedWindows
from astra.datasets.windows import Windows
from astra.parallel.allocator import keep_freed_memory
from astra.parallel.compiled_kernels import keep_compiled_kernels
from astra.parallel.processes import in_main, is_main_process
from astra.policies.astra import AstraConfig
from astra.policies.checkpoint import fill
from astra.policies.policy import Policy, PolicyConfig
from astra.tokenizers.actions import varying
from astra.tokenizers.relative_actions import target_statistics
from astra.training.budget import Budget
from astra.training.config import TrainingConfig
from astra.training.ema import EMA
from astra.training.init_from import initialize_from
from astra.training.objective import Objective
from astra.training.optimizer import build_optimizer
from astra.training.room import check_batch, policy_limit
from astra.training.run_folder import CONFIG, RunFolder, read_config
from astra.training.run_state import RunState
from astra.training.sharding import ShardedRun
from astra.trajectory import ActionSpec, Statistics


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Weights that this process updates: a copy of the whole run, or its slice of a sharded run."""

    policy: Policy[Any]
    objective: nn.Module
    """Objective of the policy, wrapped by accelerate."""
    optimizer: torch.optim.Optimizer
    ema: EMA[Policy[Any]]
    gather: Callable[[], None]
    """Bring the run's `RunState` up to date; every process must call it."""


def multiplies_in_bfloat16() -> bool:
    """Return whether the device of training multiplies in bfloat16; others only emulate it, which is slower."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.accelerator.is_available():
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def precision_of(config: TrainingConfig, run_folder: Path) -> str:
    """Return the precision of a run, float32 or bfloat16: `auto` is decided where the run begins, and then stays."""
    if config.precision != "auto":
        return config.precision
    if (run_folder / CONFIG).exists():
        description = read_config(run_folder).get("description")
        if isinstance(description, dict) and description.get("precision") in ("float32", "bfloat16"):
            return description["precision"]
        if not torch.accelerator.is_available():
            return "float32"  # what `auto` was on a CPU when runs did not say it
    return "bfloat16" if multiplies_in_bfloat16() else "float32"


def build_accelerator(config: TrainingConfig, precision: str, run_folder: Path) -> Accelerator:
    """Build the accelerator, and set precision, threads and memory allocation of this process.

    Raises:
        ValueError: if the launcher asks for accelerate's own FSDP.
    """
    keep_freed_memory()
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise ValueError("accelerate's own FSDP is not supported: launch without --use_fsdp, and train with --shard")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if precision == "bfloat16":
        keep_compiled_kernels()
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="bf16" if precision == "bfloat16" else "no",
        log_with=None if config.tracker == "none" else config.tracker,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        project_config=ProjectConfiguration(project_dir=str(run_folder), logging_dir=str(run_folder)),
    )


def build_state(
    policy_config: PolicyConfig,
    config: TrainingConfig,
    windows: Windows,
    statistics: Statistics,
    accelerator: Accelerator,
) -> RunState:
    """Build everything that a run trains and counts, as it is before the first update.

    Raises:
        ValueError: if no action varies, an instruction is too long, weights or batches do not fit into memory, the
            batch cannot be split over processes and micro-batches, or it has too few episodes to contrast.
    """
    check_mixture(windows, policy_config, contrast=config.contrastive is not None)
    check_actions_vary(windows.spec.actions, statistics, policy_config.reference_state)
    set_seed(config.seed)
    with policy_limit():
        policy = policy_config.build(windows.spec, statistics)
    policy = policy.to(accelerator.device)
    policy.check_instructions(windows.spec.instructions)
    if is_main_process():
        for text in policy.data_warnings(windows.target_actions(policy_config.reference_state)):
            warnings.warn(text, stacklevel=2)
    ema = EMA(policy, max_decay=config.ema_max_decay, power=config.ema_power)
    contrastive = None
    if config.contrastive is not None:
        contrastive = ContrastiveDynamics(config.contrastive, policy).to(accelerator.device)
    optimizer = build_optimizer(
        policy,
        contrastive,
        name=config.optimizer,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=config.betas,
    )
    sampler = windows.sampler(
        _batch_size_per_process(config, accelerator, windows),
        seed=config.seed,
        rank=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    budget = Budget(updates=config.updates, max_minutes=config.max_minutes)
    return RunState(
        policy=policy, ema=ema, optimizer=optimizer, sampler=sampler, budget=budget, contrastive=contrastive
    )


def check_mixture(windows: Windows, policy: PolicyConfig, *, contrast: bool) -> None:
    """Check that a policy can train on a mixture whose datasets lack something.

    Raises:
        ValueError: if it cannot; the message names what is missing.
    """
    if not isinstance(windows, MixedWindows) or not windows.missing:
        return
    lacking = f"a dataset of the mixture lacks {', '.join(windows.missing)}"
    if not (isinstance(policy, AstraConfig) and policy.action_queries):
        raise ValueError(
            f"{lacking}, which only Astra with action queries learns from: leave it out with --observations, or train "
            "with --policy astra"
        )
    if contrast:
        raise ValueError(f"{lacking}, and contrastive dynamics learning needs equal ones: train without --contrast")


def check_actions_vary(actions: ActionSpec, statistics: Statistics, reference_state: str | None) -> None:
    """Check that there is an action to learn.

    Raises:
        ValueError: if every dimension is constant in the training episodes.
    """
    found = target_statistics(reference_state, actions, statistics)
    if not any(varying(replace(statistics, actions=found), actions)):
        constant = ", ".join(
            f"{name} is always {value:g}" for name, value in zip(actions.names, found.mean.tolist(), strict=True)
        )
        raise ValueError(
            f"no action varies in the training episodes ({constant}), expected at least one dimension that does: "
            f"there is nothing to learn. Check the column `action` with astra inspect dataset, and record "
            f"demonstrations in which the robot moves"
        )


def restore(state: RunState, folder: RunFolder, *, resume: bool, init_from: str | None) -> str:
    """Load the newest checkpoint of a run, or the initial weights of a run that has none. Return a message.

    Raises:
        ValueError: if the run is unfinished and `resume` is not set, or a checkpoint does not fit.
    """
    newest = in_main(folder.newest_checkpoint)
    if newest is not None:
        state.load(newest)
        if not resume and not state.budget.finished:
            raise ValueError(
                f"{folder.path} holds this run, unfinished after {state.budget.update} updates: continue it with "
                f"--resume, or choose another folder"
            )
    elif init_from is not None:
        told = initialize_from(state.policy, init_from)
        fill(state.ema.policy, state.policy.state_dict(), init_from)
        return told
    return ""


def build_learner(
    state: RunState, config: TrainingConfig, windows: Windows, accelerator: Accelerator, *, shard: bool
) -> Learner:
    """Wrap the objective and the optimizer for one or several processes.

    Raises:
        ValueError: if the run is to be sharded over a single process.
    """
    if shard:
        sharded = ShardedRun(state, config.augmentation)
        return Learner(
            policy=sharded.objective.policy,
            objective=sharded.objective,
            optimizer=accelerator.prepare(sharded.optimizer),
            ema=sharded.ema,
            gather=sharded.gather,
        )
    plain = Objective(state.policy, state.contrastive, config.augmentation)
    if accelerator.num_processes > 1:
        assert accelerator.ddp_handler is not None
        accelerator.ddp_handler.find_unused_parameters = _has_unused_parameters(plain.eval(), windows, config)
    objective, optimizer = accelerator.prepare(plain.train(), state.optimizer)
    return Learner(
        policy=state.policy, objective=objective, optimizer=optimizer, ema=state.ema, gather=_nothing_to_gather
    )


def _nothing_to_gather() -> None:
    pass


def _has_unused_parameters(objective: Objective, windows: Windows, config: TrainingConfig) -> bool:
    """Whether a weight gets no gradient in some batch, such as the picture encoder's if no prompt has a picture."""
    if config.contrastive is not None and (config.contrastive.contrastive_only or config.contrastive.begin):
        return True
    if windows.spec.objects is not None and windows.spec.objects.max_pictured:
        return True
    device = next(objective.parameters()).device
    few = 1 if config.contrastive is None else min(8, len(windows))
    batch = windows.batch(np.linspace(0, len(windows) - 1, few).astype(np.int64))
    contrast = None if config.contrastive is None else config.contrastive.draw(batch).to(device)
    objective(batch.to(device), contrast).loss.backward()
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    unused = any(weight.grad is None for weight in weights)
    for weight in weights:
        weight.grad = None
    return unused


def _batch_size_per_process(config: TrainingConfig, accelerator: Accelerator, windows: Windows) -> int:
    processes, parts = accelerator.num_processes, config.gradient_accumulation_steps
    share, rest = divmod(config.batch_size, processes)
    if config.contrastive is not None:
        updates = config.updates if config.max_minutes is None else 0  # nobody knows how many minutes will hold
        check_episodes(windows.per_episode, size=share // parts, count=updates * parts * processes)
    if rest or share < parts:
        raise ValueError(
            f"training.batch_size={config.batch_size} cannot be split over {processes} processes with "
            f"{parts} micro-batches each (--training.gradient-accumulation-steps): choose at least {processes * parts}"
            + (f", and a multiple of {processes}" if processes > 1 else "")
        )
    check_batch(config, windows, share)
    return share
