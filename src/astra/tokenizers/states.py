"""State of one timestep as M tokens: first the state vectors, then cameras, then objects, in the spec's order.

A policy may use only a part of them: `StateConfig.reads`. Objects pictured in prompts are tokenized in any case.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.tokenizers.proprioception import ProprioceptionConfig
from astra.tokenizers.vision.encoders import height_width
from astra.tokenizers.vision.images import ImageConfig
from astra.tokenizers.vision.objects import ObjectConfig
from astra.tokenizers.word_norm import word_norm
from astra.trajectory import Modality, Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class StateConfig:
    """How a state becomes its tokens."""

    reads: tuple[Modality, ...] | None = None
    """Modalities of a state that the policy uses; the others cost nothing. None: all that the data have."""
    proprioception: ProprioceptionConfig = field(default_factory=ProprioceptionConfig)
    """Tokenizer of state vectors, one token each."""
    images: ImageConfig = field(default_factory=ImageConfig)
    """Tokenizer of cameras, one token each or one per patch; unused if the spec has no camera."""
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    """Tokenizer of objects, one token each per view, in states and in prompts; unused if the spec has none."""
    word_norm: bool = False
    """Whether tokens of states, and of objects pictured in prompts, start with the norm of words, actions and queries
    (0.55); without it they are up to twelve times as long, and positions and words hardly count beside them. Deviation:
    the paper does not say."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width in pixels to which camera frames are resized."""
        return height_width(self.images.image_size)

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "StateTokenizer":
        """Build the tokenizers of all state vectors, cameras and objects of the spec.

        Raises:
            ValueError: if the spec has none of them, or lacks one that `reads` names.
        """
        return StateTokenizer(self, spec, statistics, width)


class StateTokenizer(nn.Module):
    """Tokenizer of states: one token per state vector, then those of each camera, then O per view of objects."""

    def __init__(self, config: StateConfig, spec: TrajectorySpec, statistics: Statistics, width: int) -> None:
        """Build one tokenizer per state vector, one for all cameras, and one for all objects.

        Args:
            config: Choice of modalities and encoders.
            spec: State vectors, cameras and views; their order is the order of the tokens.
            statistics: Statistics of the state vectors.
            width: Width of a token.

        Raises:
            ValueError: if the spec has no state vectors, cameras or objects, or lacks a modality that `reads` names.
        """
        super().__init__()
        reads = modalities(config.reads, spec)
        self.names = tuple(spec.states) if "vectors" in reads else ()
        self.max_objects = spec.objects.max_objects if spec.objects and "objects" in reads else 0
        self.vectors = nn.ModuleList(config.proprioception.build(statistics.states[name], width) for name in self.names)
        self.images = config.images.build(spec, statistics, width) if "images" in reads else None
        pictured = spec.objects is not None and spec.objects.max_pictured > 0
        self.objects = (
            config.objects.build(spec.objects, width, scaled=config.word_norm)
            if spec.objects and (self.max_objects or pictured)
            else None
        )
        self.norm = word_norm(width) if config.word_norm else None

    @property
    def num_tokens(self) -> int:
        """M, the number of state tokens per timestep."""
        images = self.images.num_tokens if self.images else 0
        return len(self.names) + images + (self.max_objects * len(self.objects.sizes) if self.objects else 0)

    @property
    def description(self) -> str:
        """Description of the tokens and of the encoders' weights, for results."""
        cameras = self.images.cameras if self.images else ()
        objects = (
            [f"{self.max_objects} objects in {' and '.join(self.objects.sizes)}"]
            if self.objects and self.max_objects
            else []
        )
        images = f"; images: {self.images.description}" if self.images else ""
        crops = f"; objects: {self.objects.description}" if self.objects else ""
        return ", ".join([*self.names, *cameras, *objects]) + images + crops

    def forward(self, source: Trajectory | Observation) -> tuple[Float[Tensor, "*batch M D"], Bool[Tensor, "*batch M"]]:
        """Return (B, T, M, D) tokens of a trajectory, or (B, M, D) of an observation, and which of them are valid.

        Hidden objects are invalid, and what a trajectory of a mixture lacks; padded timesteps are not marked here.
        """
        # The order is that of the spec, not that of the mapping.
        tokens = [tokenizer(source.states[name]) for name, tokenizer in zip(self.names, self.vectors, strict=True)]
        stacked = [torch.stack(tokens, dim=-2)] if tokens else []
        if self.images:
            known = source.features if isinstance(source, Trajectory) else {}
            stacked.append(self.images.project(known) if known else self.images(source.images))
        if self.norm is not None:
            stacked = [self.norm(part) for part in stacked]
        if not (self.objects and self.max_objects):
            tokens = torch.cat(stacked, dim=-2)
            return tokens, self._present(tokens.new_ones(tokens.shape[:-1], dtype=torch.bool), source)
        seen, valid = self.objects(source.objects, self.max_objects)
        always = valid.new_ones(*valid.shape[:-1], self.num_tokens - valid.shape[-1])
        return torch.cat([*stacked, seen], dim=-2), torch.cat([self._present(always, source), valid], dim=-1)

    def _present(self, valid: Bool[Tensor, "*batch m"], source: Trajectory | Observation) -> Bool[Tensor, "*batch m"]:
        """Mark the tokens of state vectors and cameras that a trajectory lacks as invalid."""
        each = self.images.tokens_per_camera if self.images else 0
        cameras = self.images.cameras if self.images else ()
        places = {name: slice(n, n + 1) for n, name in enumerate(self.names)}
        first = len(self.names)
        places |= {name: slice(first + n * each, first + (n + 1) * each) for n, name in enumerate(cameras)}
        for name, flags in source.present.items():
            if name in places:
                valid[..., places[name]] &= flags.reshape(-1, *[1] * (valid.ndim - 1))
        return valid


def modalities(reads: tuple[Modality, ...] | None, spec: TrajectorySpec) -> tuple[Modality, ...]:
    """Return the modalities that a policy uses; if none are named, all of the spec.

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
            raise ValueError("a policy needs at least one state vector, camera or object; the data has none")
    if not reads or not all(shown[part] for part in reads):
        has = " and ".join(part for part in shown if shown[part]) or "nothing"
        raise ValueError(
            f"got states.reads={reads}, but the data has {has}: read what it has, or collect the rest (frames of "
            f"the tabletop: --frames) and keep its columns in --observations"
        )
    return reads
