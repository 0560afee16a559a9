"""Run whose weights, gradients, moments and EMA are split over the processes (FSDP).

Before validation, rollouts and checkpoints, the whole state is gathered into a plain `RunState`. Checkpoints are thus
the same files as without sharding, and can be resumed by any number of processes, sharded or not.

Deviation from the usual use of FSDP: the policy is one unit, gathered whole for the forward and backward pass of an
update, because parts of its blocks are also called on their own. The paper's largest policy has 198M weights, which
fit many times.
"""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from astra.augmentation.pictures import AugmentationConfig
from astra.parallel.processes import processes
from astra.training.ema import EMA
from astra.training.objective import Objective
from astra.training.optimizer import MuonWithAdamW
from astra.training.run_state import RunState


class ShardedRun:
    """Slice of a run that one process trains.

    Args:
        state: whole state to start from; `gather` brings it up to date.
        augmentation: augmentation of what behavior cloning sees; None: none.

    Raises:
        ValueError: if there is only one process.
    """

    objective: Objective
    ema: EMA[Any]
    optimizer: Optimizer

    def __init__(self, state: RunState, augmentation: AugmentationConfig | None = None) -> None:
        if processes().num_processes == 1:
            raise ValueError(
                "--shard needs several processes, got one: start more, such as with `accelerate launch "
                "--num_processes 2 -m astra train ... --shard`, or leave out --shard"
            )
        if isinstance(state.optimizer, MuonWithAdamW):
            raise ValueError(
                "--shard splits every matrix over the processes, and Muon needs it whole: train with "
                "--training.optimizer adamw, or leave out --shard"
            )
        self.state = state
        device = next(state.policy.parameters()).device
        mesh = init_device_mesh(device.type, (processes().num_processes,))
        contrastive = copy.deepcopy(state.contrastive)
        self.objective = Objective(copy.deepcopy(state.policy), contrastive, augmentation).train()
        self.ema = copy.deepcopy(state.ema)
        fully_shard(self.objective, mesh=mesh)
        fully_shard(self.ema.policy, mesh=mesh)
        plain = Objective(state.policy, state.contrastive)
        self.optimizer = _shard_optimizer(state.optimizer, plain, self.objective, mesh)
        # Of the plain state, only the EMA policy is used between two gathers; the rest goes to CPU memory.
        plain.to("cpu")
        state.ema.policy.to(device)  # moves the frozen weights back, which it shares with the policy
        state.optimizer.load_state_dict(_on_cpu(state.optimizer))

    @torch.no_grad()
    def gather(self) -> None:
        """Bring the whole state up to date in every process; all processes must call it."""
        plain = Objective(self.state.policy, self.state.contrastive)
        _gather(self.objective.state_dict(), plain.state_dict())
        _gather(self.ema.policy.state_dict(), self.state.ema.policy.state_dict())
        self.state.ema.updates = self.ema.updates
        self.state.optimizer.load_state_dict(_on_cpu(self.optimizer))


def _shard_optimizer(optimizer: Optimizer, plain: Objective, sharded: Objective, mesh: DeviceMesh) -> Optimizer:
    """Return the same optimizer over sharded weights, with its moments so far."""
    names = {id(weight): name for name, weight in plain.named_parameters()}
    weights = dict(sharded.named_parameters())
    made = copy.deepcopy(optimizer)
    made.state.clear()
    for group, whole in zip(made.param_groups, optimizer.param_groups, strict=True):
        group["params"] = [weights[names[id(weight)]] for weight in whole["params"]]
    saved = copy.copy(optimizer.state_dict())
    flat = [weight for group in made.param_groups for weight in group["params"]]
    saved["state"] = {
        index: {key: _slice(value, flat[index], mesh) for key, value in values.items()}
        for index, values in saved["state"].items()
    }
    made.load_state_dict(saved)
    return made


def _on_cpu(optimizer: Optimizer) -> dict[str, Any]:
    saved = copy.copy(optimizer.state_dict())
    saved["state"] = {
        index: {key: _whole(value).cpu() for key, value in values.items()} for index, values in saved["state"].items()
    }
    return saved


def _slice(value: Tensor, weight: DTensor, mesh: DeviceMesh) -> Tensor:
    return distribute_tensor(value, mesh, weight.placements) if value.shape == weight.shape else value


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _gather(sharded: dict[str, Tensor], plain: dict[str, Tensor]) -> None:
    for name, value in plain.items():
        value.copy_(_whole(sharded[name]))
