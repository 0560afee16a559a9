"""The state of one timestep: M tokens, first the state vectors, then cameras, then objects, in the spec's order.

Of these a policy may read a part: `StateConfig.reads`. Objects pictured in prompts are tokens in any case.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.vision.images import ImageConfig
from astra.tokenizers.vision.objects import ObjectConfig
from astra.trajectory import Modality, Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class StateConfig:
    """How a state becomes its tokens."""

    reads: tuple[Modality, ...] | None = None
    """Which parts of a state are read; the others cost nothing. None: all that the data have."""
    proprioception: ProprioceptionConfig = field(default_factory=ProprioceptionConfig)
    """State vectors: one token each."""
    images: ImageConfig = field(default_factory=ImageConfig)
    """Cameras: one token each, or one per patch; not read where the spec has no camera."""
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    """Objects: one token each per view, in states and in prompts; not read where the spec has none."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "StateTokenizer":
        """Make the tokenizers of all state vectors, cameras and objects of the spec.

        Raises:
            ValueError: if the spec has none of them, or lacks one that `reads` names.
        """
        return StateTokenizer(self, spec, statistics, width)


class StateTokenizer(nn.Module):
    """M state tokens per timestep: one per state vector, those of each camera, then O per view of objects."""

    def __init__(self, config: StateConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Make one tokenizer per state vector that is read, one for all cameras, and one for all objects.

        Args:
            config: how vectors, images and objects are read.
            spec: names the state vectors, cameras and views; its order is the order of the tokens.
            statistics: of the state vectors.
            width: width of a token.

        Raises:
            ValueError: if the spec has no state vectors, no cameras and no objects, or lacks what is to be read.
        """
        super().__init__()
        reads = parts_read(config.reads, spec)
        self.names = tuple(spec.states) if "vectors" in reads else ()
        self.room = spec.objects.max_objects if spec.objects and "objects" in reads else 0
        self.vectors = nn.ModuleList(config.proprioception.build(statistics.states[name], width) for name in self.names)
        self.images = config.images.build(spec, statistics, width) if "images" in reads else None
        pictured = spec.objects is not None and spec.objects.max_pictured > 0
        self.objects = config.objects.build(spec.objects, width) if spec.objects and (self.room or pictured) else None

    @property
    def num_tokens(self) -> int:
        """M, the number of state tokens per timestep."""
        images = self.images.num_tokens if self.images else 0
        return len(self.names) + images + (self.room * len(self.objects.sizes) if self.objects else 0)

    @property
    def description(self) -> str:
        """Name the tokens, and the weights of the encoders, for results."""
        cameras = self.images.cameras if self.images else ()
        objects = [f"{self.room} objects in {' and '.join(self.objects.sizes)}"] if self.objects and self.room else []
        images = f"; images: {self.images.description}" if self.images else ""
        crops = f"; objects: {self.objects.description}" if self.objects else ""
        return ", ".join([*self.names, *cameras, *objects]) + images + crops

    def forward(self, source: Trajectory | Observation) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Give (B, T, M, D) tokens of a trajectory, or (B, M, D) of an observation, and which of them are real.

        Only objects can be missing from a state. What is padding of a trajectory is not told here.
        """
        # Not the mapping's own order: the spec's.
        tokens = [tokenizer(source.states[name]) for name, tokenizer in zip(self.names, self.vectors, strict=True)]
        stacked = [torch.stack(tokens, dim=-2)] if tokens else []
        if self.images:
            known = source.features if isinstance(source, Trajectory) else {}
            stacked.append(self.images.project(known) if known else self.images(source.images))
        if not (self.objects and self.room):
            tokens = torch.cat(stacked, dim=-2)
            return tokens, tokens.new_ones(tokens.shape[:-1], dtype=torch.bool)
        seen, valid = self.objects(source.objects, self.room)
        always = valid.new_ones(*valid.shape[:-1], self.num_tokens - valid.shape[-1])
        return torch.cat([*stacked, seen], dim=-2), torch.cat([always, valid], dim=-1)


def parts_read(reads: tuple[Modality, ...] | None, spec: TrajectorySpec) -> tuple[Modality, ...]:
    """Give the parts of a state that are read; all that the spec has where none are named.

    Raises:
        ValueError: if there are none, or the spec lacks one that is named.
    """
    shown: dict[Modality, bool] = {
        "vectors": bool(spec.states),
        "images": bool(spec.images),
        "objects": spec.objects is not None and spec.objects.max_objects > 0,
    }
    if reads is None:
        reads = tuple(part for part in shown if shown[part])
        if not reads:
            raise ValueError("a policy needs at least one state vector or camera, or objects; the data has none")
    if not reads or not all(shown[part] for part in reads):
        has = " and ".join(part for part in shown if shown[part]) or "nothing"
        raise ValueError(
            f"states.reads={reads}, but the data shows {has}: read what it shows, or collect the rest (frames of "
            f"the tabletop: --frames) and leave its columns in `observations`"
        )
    return reads
