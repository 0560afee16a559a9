"""The state of one timestep: M tokens, first the state vectors, then the cameras, each in the order of the spec."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.tokenizers.images import ImageConfig
from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class StateConfig:
    """How a state becomes its tokens."""

    proprioception: ProprioceptionConfig = field(default_factory=ProprioceptionConfig)
    """State vectors: one token each."""
    images: ImageConfig = field(default_factory=ImageConfig)
    """Cameras: one token each; not read where the spec has no camera."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "StateTokenizer":
        """Make the tokenizers of all state vectors and cameras of the spec.

        Raises:
            ValueError: if the spec has neither.
        """
        return StateTokenizer(self, spec, statistics, width)


class StateTokenizer(nn.Module):
    """M state tokens per timestep: one per state vector, then one per camera."""

    def __init__(self, config: StateConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Make one tokenizer per state vector, and one for all cameras.

        Args:
            config: how vectors and images are read.
            spec: names the state vectors and cameras; its order is the order of the tokens.
            statistics: of the state vectors.
            width: width of a token.

        Raises:
            ValueError: if the spec has neither state vectors nor cameras.
        """
        super().__init__()
        self.names = (*spec.states, *spec.images)
        if not self.names:
            raise ValueError("a policy needs at least one state vector or camera, the data has neither")
        self.vectors = nn.ModuleList(
            config.proprioception.build(statistics.states[name], width) for name in spec.states
        )
        self.images = config.images.build(spec, statistics, width) if spec.images else None

    @property
    def num_tokens(self) -> int:
        """M, the number of state tokens per timestep."""
        return len(self.names)

    @property
    def description(self) -> str:
        """Name the tokens, and the weights of the image encoder, for results."""
        images = f"; images: {self.images.description}" if self.images else ""
        return ", ".join(self.names) + images

    def forward(self, source: Trajectory | Observation) -> Float[Tensor, "*batch M D"]:
        """Give (B, T, M, D) tokens of a trajectory, or (B, M, D) tokens of an observation."""
        # Not the mapping's own order: the spec's.
        tokens = [
            tokenizer(source.states[name])
            for name, tokenizer in zip(self.names[: len(self.vectors)], self.vectors, strict=True)
        ]
        stacked = [torch.stack(tokens, dim=-2)] if tokens else []
        if self.images:
            known = source.features if isinstance(source, Trajectory) else {}
            stacked.append(self.images.project(known) if known else self.images(source.images))
        return torch.cat(stacked, dim=-2)
