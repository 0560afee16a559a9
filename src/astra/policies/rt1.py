"""RT-1: a few image tokens per frame, conditioned on the instruction, over the last six frames.

    i i i i i i i i | a a a | i i i i i i i i | a a a | ...        8 tokens per frame and camera, N per action
        t - 5                     t - 4

The instruction is one vector, which scales and shifts the features of an EfficientNet (FiLM). A causal transformer
attends to the tokens of the last frames. Action tokens hold positions only and nothing attends to them: their N outputs
are the N dimensions of an action, all from one pass. State vectors and objects are not used.

Source: Brohan et al. 2023; its published configuration (8 layers, 8 heads of 128, width 512, six frames).
Deviation: a word vocabulary of the dataset instead of the Universal Sentence Encoder, no ImageNet weights, no
cropping of frames. Every dimension has its own token; the published code predicts the first one at the last token of
the frame. The paper's 46M parameters cannot be derived, see `docs/deviations.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from astra.objects import PromptPictures
from astra.policies.action_heads import build_head, one_action_loss
from astra.policies.decoding import Decoding, Rollouts, reset_generators, seeded_generators
from astra.policies.policy import Losses, Policy, PolicyConfig
from astra.policies.rt1_transformer import RT1Transformer
from astra.storage.numbers import Layers, NotNegative, Pixels, Positive, Share, Tokens, Width, check_numbers
from astra.tokenizers.actions import ContinuousActionsConfig, DiscreteActionsConfig
from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.states import StateConfig
from astra.tokenizers.vision.film_efficientnet import FilmEfficientNet
from astra.trajectory import Observation, Statistics, Trajectory, TrajectorySpec


@dataclass(frozen=True, kw_only=True)
class RT1Config(PolicyConfig):
    """Size and options of an RT-1; by default the published ones."""

    layers: Layers = 8
    """Number of transformer blocks."""
    heads: Tokens = 8
    """Number of attention heads."""
    head_width: Width = 128
    """Width of a head, independent of the width of a token."""
    width: Width = 512
    """D, width of a token."""
    history: Tokens = 6
    """Frames to which an action attends, the current one included."""
    frame_tokens: Tokens = 8
    """Image tokens per frame and camera."""
    width_coefficient: Positive = 1.2
    """Channels of the EfficientNet, relative to B0; B3 has 1.2."""
    depth_coefficient: Positive = 1.4
    """Blocks of the EfficientNet, relative to B0; B3 has 1.4."""
    image_size: Pixels = 300
    """Height and width in pixels to which frames are resized."""
    dropout: Share = 0.0
    """Probability of dropping an activation in training."""
    soft_labels: NotNegative = 0.0
    """Standard deviation, in bins, of the Gaussian that smooths discrete action labels; 0 for hard labels."""
    language: LanguageConfig = field(default_factory=LanguageConfig)
    """Tokenizer of prompts; the mean of the tokens conditions the EfficientNet."""
    actions: DiscreteActionsConfig | ContinuousActionsConfig = field(default_factory=DiscreteActionsConfig)
    """Tokenizer of actions; it decides what the policy predicts."""
    decoding: Decoding = field(default_factory=Decoding)
    """How the policy acts."""

    states = StateConfig(reads=("images",))  # not a field: RT-1 sees camera frames only

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy")

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width in pixels to which camera frames are resized."""
        return (self.image_size, self.image_size)

    def build(self, spec: TrajectorySpec, statistics: Statistics) -> "RT1":
        """Build the policy with new weights.

        Raises:
            ValueError: if the data has no camera, or pictures in prompts.
        """
        return RT1(self, spec, statistics)


@dataclass(kw_only=True)
class RT1State(Rollouts):
    """State of B rollouts; `act` updates it in place and returns it."""

    condition: Float[Tensor, "B D"]
    """Vector of each instruction."""
    frames: Float[Tensor, "B W m D"]
    """Tokens of the last W frames, oldest first; what stands after the current frame is not used."""
    seen: Int[Tensor, " B"]
    """Number of frames seen, at most W."""


class RT1(Policy[RT1State]):
    """Causal transformer over the tokens of the last frames."""

    config: RT1Config

    def __init__(self, config: RT1Config, spec: TrajectorySpec, statistics: Statistics) -> None:
        """Build tokenizers, trunk and head.

        Raises:
            ValueError: if the data has no camera, or pictures in prompts.
        """
        super().__init__()
        if not spec.images:
            raise ValueError(
                "RT-1 needs camera frames, but the data has no camera, only "
                f"{', '.join(spec.states) or 'no state vectors'}{' and objects' if spec.objects else ''}: train it on "
                "data with images, or choose another policy"
            )
        if spec.objects is not None and spec.objects.max_pictured:
            raise ValueError(
                f"RT-1 needs instructions of words only, but prompts of the data hold up to "
                f"{spec.objects.max_pictured} pictured objects: choose data without them, or another policy"
            )
        self.config, self.spec, self.statistics = config, spec, statistics
        self.decode_with(config.decoding)
        self.cameras, width = tuple(spec.images), config.width
        self.language = config.language.build(spec, statistics, width)
        self.actions = config.actions.build(spec, statistics, width).requires_grad_(False)  # only its bins are used
        self.images = FilmEfficientNet(
            width=width,
            condition=width,
            num_tokens=config.frame_tokens,
            width_coefficient=config.width_coefficient,
            depth_coefficient=config.depth_coefficient,
            image_size=config.image_size,
        )
        self.transformer = RT1Transformer(
            width=width,
            layers=config.layers,
            heads=config.heads,
            head_width=config.head_width,
            dropout=config.dropout,
            history=config.history,
            frame_tokens=config.frame_tokens * len(self.cameras),
            action_tokens=len(spec.actions),
        )
        self.head = build_head(self.actions, width, config.soft_labels)

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Check that all instructions are short enough.

        Raises:
            ValueError: if one has more than `language.max_tokens` tokens.
        """
        self.language.check_lengths(instructions)

    @property
    def trunk(self) -> nn.Module:
        """The transformer, whose parameters the paper counts."""
        return self.transformer

    def loss(self, trajectory: Trajectory) -> Losses:
        """Compute Eq. 1 and the accuracy; each action attends to the last W frames.

        Raises:
            ValueError: if prompts hold pictures.
        """
        (B, T), W, valid = trajectory.valid.shape, self.config.history, trajectory.valid
        first, number = trajectory.distinct_prompts()
        condition = self.condition(tuple(trajectory.instructions[row] for row in first), trajectory.pictures)
        condition = condition[torch.tensor(number, device=valid.device)][:, None].expand(B, T, -1)
        seen = {camera: trajectory.images[camera][valid] for camera in self.cameras}
        tokens = self.frame_tokens(seen, condition[valid])
        frames = tokens.new_zeros(B, T, *tokens.shape[1:])
        frames[valid] = tokens

        early = torch.arange(min(T, W), device=valid.device).expand(B, -1)
        outputs = self.transformer(frames[:, :W], early)
        if T > W:  # later actions have a window of their own each
            windows = frames[:, 1:].unfold(1, W, 1).movedim(-1, 2).flatten(0, 1)
            last = self.transformer(windows, torch.full((len(windows), 1), W - 1, device=valid.device))
            outputs = torch.cat([outputs, last.unflatten(0, (B, T - W))[:, :, 0]], dim=1)
        return one_action_loss(self.head, self.head(outputs), trajectory)

    def start_rollouts(
        self, instructions: Sequence[str], seeds: Sequence[int], pictures: PromptPictures | None
    ) -> RT1State:
        """Start one rollout per instruction."""
        condition, m = self.condition(instructions, pictures), self.transformer.frame_tokens
        return RT1State(
            condition=condition,
            frames=condition.new_zeros(len(condition), self.config.history, m, self.config.width),
            seen=torch.zeros(len(condition), dtype=torch.long, device=condition.device),
            generators=seeded_generators(seeds),
        )

    def restart_rollouts(
        self,
        state: RT1State,
        where: Bool[Tensor, " B"],
        instructions: Sequence[str],
        seeds: Sequence[int],
        pictures: PromptPictures | None,
    ) -> RT1State:
        """Start new rollouts in some environments."""
        state.condition[where] = self.condition(instructions, pictures)
        state.frames[where] = 0.0
        state.seen[where] = 0
        reset_generators(state.generators, where, seeds)
        return state

    def choose_action(self, state: RT1State, observation: Observation) -> tuple[Float[Tensor, "B N"], RT1State]:
        """Add the new frames, drop the oldest, and return the next action; executed actions are not used."""
        W, env = self.config.history, torch.arange(len(state.seen), device=state.seen.device)
        full = (state.seen == W)[:, None, None, None]
        state.frames = torch.where(full, state.frames.roll(-1, dims=1), state.frames)
        at = state.seen.clamp(max=W - 1)
        state.frames[env, at] = self.frame_tokens(observation.images, state.condition)
        state.seen = at + 1
        predicted = self.head(self.transformer(state.frames, at[:, None]))
        return self.head.decode(predicted, self.decoding, state.generators)[:, 0], state

    def condition(self, instructions: Sequence[str], pictures: PromptPictures | None) -> Float[Tensor, "B D"]:
        """Return one vector per instruction: the mean of its tokens.

        Raises:
            ValueError: if prompts hold pictures.
        """
        if pictures is not None:
            raise ValueError("RT-1 needs instructions of words only, but these prompts hold pictures")
        tokens, valid = self.language(instructions)
        return (tokens * valid[..., None]).sum(1) / valid.sum(1, keepdim=True).clamp(min=1)

    def frame_tokens(
        self, images: Mapping[str, UInt8[Tensor, "frames 3 _ _"]], condition: Float[Tensor, "frames D"]
    ) -> Float[Tensor, "frames m D"]:
        """Return the tokens of frames, camera after camera."""
        return torch.cat([self.images(images[camera], condition) for camera in self.cameras], dim=1)
