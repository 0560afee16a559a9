"""Names behind the places of a policy's weights: the camera, state vector, action dimension or word of each row.

Most weights belong to no part of the data. Those that do stand in the order of the data, which differs between
datasets, so weights of another policy are found by these names and never by their place.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from astra.attention.positions import LearnedPositions, RelativePositions, SegmentSizes
from astra.attention.segments import Kind
from astra.policies.action_heads import ActionHead, DiscreteHead
from astra.policies.astra import Astra
from astra.policies.cross_attention import CrossAttentionPolicy
from astra.policies.decision_transformer import DecisionTransformer
from astra.policies.diffusion import Diffusion
from astra.policies.flamingo import Flamingo
from astra.policies.gato import Gato
from astra.policies.noise.d3pm import D3PM
from astra.policies.noise.ddpm import DDPM
from astra.policies.policy import Policy
from astra.policies.rt1 import RT1
from astra.policies.sequence import SequencePolicy
from astra.policies.vima import Vima
from astra.tokenizers.actions import ContinuousActions, DiscreteActions
from astra.tokenizers.bin_values import ValueEmbedding
from astra.tokenizers.language.words import WordTokenizer
from astra.tokenizers.resampler import Resampler
from astra.tokenizers.states import StateTokenizer
from astra.tokenizers.vision.images import ImageTokenizer
from astra.tokenizers.vision.objects import ObjectTokenizer

Rows = tuple[Hashable, ...]
"""Name of each row of a weight; no two are equal."""

POLICIES_WITH_NAMES = (Astra, DecisionTransformer, Diffusion, Flamingo, Gato, RT1, Vima)
"""Policies all of whose weights are known here; a test permutes the data of each."""


@dataclass(frozen=True, kw_only=True)
class WeightNames:
    """Names behind the weights of one policy."""

    modules: dict[str, str] = field(default_factory=dict)
    """Prefix of the weights of a module that belongs to one name, such as `states.vectors.0.`, with that name."""
    rows: dict[str, tuple[int, Rows]] = field(default_factory=dict)
    """Axis and names of its rows, by weight."""

    def key(self, weight: str) -> tuple[str, str]:
        """Return the same key for the weight of the same part of another policy."""
        for prefix, name in self.modules.items():
            if weight.startswith(prefix):
                return prefix.rstrip(".").rpartition(".")[0] + "." + weight.removeprefix(prefix), name
        return weight, ""


def weight_names(policy: Policy[Any]) -> WeightNames:
    """Return the names behind all weights of a policy of this package."""
    names = WeightNames()
    dimensions = policy.spec.actions.names
    for path, module in policy.named_modules():
        match module:
            case StateTokenizer():
                names.modules.update(_numbered(f"{path}.vectors", module.names))
            case ImageTokenizer():
                names.modules.update(_numbered(f"{path}.projections", module.cameras))
            case ObjectTokenizer():
                names.modules.update(_numbered(f"{path}.projections", module.sizes))
                names.modules.update(_numbered(f"{path}.boxes", module.sizes))
            case WordTokenizer():
                vocabulary: dict[str, int] = module.tokenizer.get_vocab()
                names.rows[f"{path}.embedding.weight"] = 0, tuple(sorted(vocabulary, key=vocabulary.__getitem__))
            case DiscreteActions():
                if isinstance(module.embedding, ValueEmbedding):
                    names.rows[f"{path}.embedding.first"] = names.rows[f"{path}.embedding.bias"] = 0, dimensions
                else:
                    names.rows[f"{path}.embedding.weight"] = 0, _bins(dimensions, module.counts.tolist())
            case D3PM():
                counts = [count + 1 for count in module.actions[0].counts.tolist()]
                names.rows[f"{path}.embedding.weight"] = 0, _bins(dimensions, counts)
            case ContinuousActions() | DDPM():
                names.rows[f"{path}.direction"] = names.rows[f"{path}.offset"] = 0, dimensions
            case ActionHead():
                names.rows[f"{path}.weight"] = names.rows[f"{path}.bias"] = 0, dimensions
                if isinstance(module, DiscreteHead) and module.wave_weight is not None:
                    names.rows[f"{path}.wave_weight"] = 0, dimensions
            case Resampler():
                assert isinstance(policy, CrossAttentionPolicy)
                names.rows[f"{path}.slots"] = 0, _state_tokens(policy.states)
            case RelativePositions():
                names.rows[f"{path}.slots.weight"] = 0, _slots(policy, module.sizes)
            case LearnedPositions():
                slots = _slots(policy, module.sizes)
                places = _places(slots, module.sizes.prompt, module.table.num_embeddings)
                names.rows[f"{path}.table.weight"] = 0, places
            case _:
                pass
    _add_whole_segments(policy, names)
    return names


def causal_order(policy: Policy[Any]) -> tuple[Rows, Rows]:
    """Return the names of state tokens and of action tokens of which each sees only those before it; empty if none."""
    match policy:
        case SequencePolicy():
            states = Kind.STATE in policy.causal_segments and policy.one_state is None
            actions = Kind.ACTION in policy.causal_segments and policy.one_action is None
        case CrossAttentionPolicy():
            states, actions = policy.resampler is None, False
        case RT1():
            return policy.cameras, ()
        case _:
            return (), ()
    return _token_names(policy.states) if states else (), policy.spec.actions.names if actions else ()


def _add_whole_segments(policy: Policy[Any], names: WeightNames) -> None:
    """Add the weights that see all tokens of a state or of an action."""
    dimensions = policy.spec.actions.names
    match policy:
        case SequencePolicy() | CrossAttentionPolicy():
            width: int = policy.config.width
            if policy.one_action is not None:
                names.rows["one_action.layer.weight"] = 1, _each(dimensions, width)
            if isinstance(policy, SequencePolicy) and policy.one_state is not None:
                names.rows["one_state.layer.weight"] = 1, _each(_state_tokens(policy.states), width)
            if isinstance(policy, Astra) and policy.queries is not None:
                names.rows["queries"] = 0, tuple((c, name) for c in range(policy.chunk_size) for name in dimensions)
        case RT1():
            frames = tuple((camera, i) for camera in policy.cameras for i in range(policy.config.frame_tokens))
            places = _places((*frames, *dimensions), 0, policy.transformer.positions.num_embeddings)
            names.rows["transformer.positions.weight"] = 0, places
        case _:
            pass


def _numbered(path: str, names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, str]:
    return {f"{path}.{i}.": name for i, name in enumerate(names)}


def _bins(dimensions: tuple[str, ...], counts: list[int]) -> Rows:
    return tuple((name, bin) for name, count in zip(dimensions, counts, strict=True) for bin in range(count))


def _each(names: Rows, width: int) -> Rows:
    return tuple((name, i) for name in names for i in range(width))


def _state_tokens(states: StateTokenizer) -> Rows:
    """Name the M tokens of a state, in their order."""
    tokens: list[Hashable] = [("vector", name) for name in states.names]
    if states.images is not None:
        tokens += [
            ("camera", name, patch)
            for name in states.images.cameras
            for patch in range(states.images.tokens_per_camera)
        ]
    if states.objects is not None:
        tokens += [("view", name, i) for name in states.objects.sizes for i in range(states.max_objects)]
    return tuple(tokens)


def _token_names(states: StateTokenizer) -> Rows:
    """Return the state vector, camera or view of each token of a state."""
    images = states.images.cameras if states.images is not None else ()
    objects = tuple(states.objects.sizes) if states.objects is not None and states.max_objects else ()
    return (*states.names, *images, *objects)


def _slots(policy: Policy[Any], sizes: SegmentSizes) -> Rows:
    """Name the slots of prompt, state and action; merged tokens and latents keep their number."""
    assert isinstance(policy, SequencePolicy | CrossAttentionPolicy)
    resampled = isinstance(policy, CrossAttentionPolicy) and policy.resampler is not None
    merged = isinstance(policy, SequencePolicy) and policy.one_state is not None
    states = range(sizes.state) if resampled or merged else _state_tokens(policy.states)
    actions = range(sizes.action) if policy.one_action is not None else policy.spec.actions.names
    prompt = [("prompt", i) for i in range(sizes.prompt)]
    return (*prompt, *(("state", name) for name in states), *(("action", name) for name in actions))


def _places(slots: Rows, prompt: int, length: int) -> Rows:
    """Name the places of a table of positions: the prompt, then state and action of every timestep."""
    repeated, numbers = slots[prompt:], torch.arange(max(length - prompt, 0)).tolist()
    places = [(number // len(repeated), repeated[number % len(repeated)]) for number in numbers]
    return (*slots[:prompt], *places)[:length]


def knows(policy: nn.Module) -> bool:
    """Return whether the names behind all weights of this policy are known."""
    return type(policy) in POLICIES_WITH_NAMES
