"""The state of one timestep: M tokens, first the state vectors, then cameras, then objects, in the spec's order."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.tokenizers.images import ImageConfig
from astra.tokenizers.objects import ObjectConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class StateConfig:
    """How a state becomes its tokens."""

    proprioception: ProprioceptionConfig = field(default_factory=ProprioceptionConfig)
    """State vectors: one token each."""
    images: ImageConfig = field(default_factory=ImageConfig)
    """Cameras: one token each; not read where the spec has no camera."""
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    """Objects: one token each per view; not read where the spec has none."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "StateTokenizer":
        """Make the tokenizers of all state vectors, cameras and objects of the spec.

        Raises:
            ValueError: if the spec has none of them.
        """
        return StateTokenizer(self, spec, statistics, width)


class StateTokenizer(nn.Module):
    """M state tokens per timestep: one per state vector, one per camera, then O per view of objects."""

    def __init__(self, config: StateConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Make one tokenizer per state vector, one for all cameras, and one for all objects.

        Args:
            config: how vectors, images and objects are read.
            spec: names the state vectors, cameras and views; its order is the order of the tokens.
            statistics: of the state vectors.
            width: width of a token.

        Raises:
            ValueError: if the spec has no state vectors, no cameras and no objects.
        """
        super().__init__()
        self.names = (*spec.states, *spec.images)
        if not self.names and spec.objects is None:
            raise ValueError("a policy needs at least one state vector or camera, or objects; the data has none")
        self.room = spec.objects.max_objects if spec.objects else 0
        self.vectors = nn.ModuleList(
            config.proprioception.build(statistics.states[name], width) for name in spec.states
        )
        self.images = config.images.build(spec, statistics, width) if spec.images else None
        self.objects = config.objects.build(spec.objects, width) if spec.objects else None

    @property
    def num_tokens(self) -> int:
        """M, the number of state tokens per timestep."""
        return len(self.names) + (self.objects.num_tokens if self.objects else 0)

    @property
    def description(self) -> str:
        """Name the tokens, and the weights of the encoders, for results."""
        objects = [f"{self.room} objects in {' and '.join(self.objects.sizes)}"] if self.objects else []
        images = f"; images: {self.images.description}" if self.images else ""
        crops = f"; objects: {self.objects.description}" if self.objects else ""
        return ", ".join([*self.names, *objects]) + images + crops

    def forward(self, source: Trajectory | Observation) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Give (B, T, M, D) tokens of a trajectory, or (B, M, D) of an observation, and which of them are real.

        Only objects can be missing from a state. What is padding of a trajectory is not told here.
        """
        # Not the mapping's own order: the spec's.
        tokens = [
            tokenizer(source.states[name])
            for name, tokenizer in zip(self.names[: len(self.vectors)], self.vectors, strict=True)
        ]
        stacked = [torch.stack(tokens, dim=-2)] if tokens else []
        if self.images:
            known = source.features if isinstance(source, Trajectory) else {}
            stacked.append(self.images.project(known) if known else self.images(source.images))
        if not self.objects:
            tokens = torch.cat(stacked, dim=-2)
            return tokens, tokens.new_ones(tokens.shape[:-1], dtype=torch.bool)
        seen, valid = self.objects(source.objects, self.room)
        always = valid.new_ones(*valid.shape[:-1], len(self.names))
        return torch.cat([*stacked, seen], dim=-2), torch.cat([always, valid], dim=-1)
