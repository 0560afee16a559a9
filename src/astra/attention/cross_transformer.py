"""VIMA's transformer: each layer has cross-attention to the prompt, then causal self-attention over the context.

    prompt   p1 p2 p3 ---- keys, values --+------------------------------+
                                          v                              v
    context  s1 s2 | a | s1 s2 | a | -> cross -> self -> cross -> self -> ...      outputs
                                        layer 1          layer 2

The prompt is not transformed: its keys and values in all layers come from its tokens, so they are computed once per
prompt. `CrossCache` keeps those of the context; a control step then computes one timestep only.

Source: Jiang et al. 2023, VIMA.
Deviation: prompt tokens are normalized, without parameters, before they become keys and values. VIMA's tokens come
from T5, which ends with a norm; word embeddings start as small random vectors and would have little effect at first.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention import masks
from astra.attention.initialization import initialize
from astra.attention.layers import attend
from astra.attention.masks import ALL_SEGMENTS, additive
from astra.attention.positions import LearnedPositions, RelativePositions, SegmentSizes, by_layer
from astra.attention.segments import TokenIds, concatenate
from astra.attention.step_checks import check_cross_attention, check_new_tokens
from astra.attention.vima_block import CrossBlock, VimaBlock


@dataclass
class PromptKeys:
    """Keys and values of B prompts, for each layer."""

    keys_values: list[Float[Tensor, "B L D2"]]
    """Keys and values side by side, per layer."""
    mask: Float[Tensor, "B 1 1 L"]
    """Additive mask that hides padding."""

    def replace(self, where: Bool[Tensor, " B"], other: "PromptKeys") -> None:
        """Replace the marked prompts by other prompts, in order."""
        length = max(self.mask.shape[-1], other.mask.shape[-1])
        mine, theirs = self._widened(length), other._widened(length)
        for own, new in zip([mine.mask, *mine.keys_values], [theirs.mask, *theirs.keys_values], strict=True):
            own[where] = new
        self.mask, self.keys_values = mine.mask, mine.keys_values

    def _widened(self, length: int) -> "PromptKeys":
        extra, hidden = length - self.mask.shape[-1], torch.finfo(self.mask.dtype).min / 4
        return PromptKeys(
            [F.pad(each, (0, 0, 0, extra)) for each in self.keys_values], F.pad(self.mask, (0, extra), value=hidden)
        )


class CrossAttentionTransformer(nn.Module):
    """Transformer of cross-attention and self-attention: 32 D^2 + 17 D parameters per layer, and position tables.

    The tables (512 places for the context, 256 for the prompt) belong to the transformer, as in VIMA: with them the
    parameter counts equal all that the paper prints for VIMA.
    """

    def __init__(
        self,
        *,
        layers: int,
        heads: int,
        width: int,
        dropout: float = 0.0,
        gates: bool = False,
        positions: LearnedPositions | None = None,
        prompt_positions: LearnedPositions | None = None,
    ) -> None:
        """Build and initialize the layers.

        Args:
            layers: Layers, each of a cross-attention block and a self-attention block.
            heads: Heads of both kinds of attention.
            width: D, the width of a token.
            dropout: Share of activations dropped in training.
            gates: Whether tanh gates scale what cross-attention adds, as in Flamingo.
            positions: Position table of the context, if any.
            prompt_positions: Position table of the prompt, if any.
        """
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.positions, self.prompt_positions = positions, prompt_positions
        self.cross = nn.ModuleList(CrossBlock(width, heads, dropout, gates=gates) for _ in range(layers))
        self.blocks = nn.ModuleList(VimaBlock(width, heads, dropout) for _ in range(layers))
        initialize(self, width)

    def read_prompts(
        self,
        tokens: Float[Tensor, "P L D"],
        valid: Bool[Tensor, "P L"],
        of: Int[Tensor, " B"] | None = None,
    ) -> PromptKeys:
        """Compute the keys and values of P distinct prompts, and return those of each trajectory's prompt.

        An empty prompt is read as one token of padding, so that it does not matter how long the prompts beside it are.

        Args:
            tokens: Prompt tokens, with their positions.
            valid: Which tokens are real.
            of: Index of each trajectory's prompt; None if trajectory b has prompt b.
        """
        tokens = F.layer_norm(tokens, tokens.shape[-1:])
        made = [block.keys_values(tokens) for block in self.cross]  # pyright: ignore[reportCallIssue]
        first = torch.arange(valid.shape[1], device=valid.device) == 0
        mask = additive(valid | (first & ~valid.any(1, keepdim=True)), tokens.dtype)[:, None, None]
        return PromptKeys(made, mask) if of is None else PromptKeys([each[of] for each in made], mask[of])

    def forward(
        self,
        prompt: PromptKeys,
        context: Float[Tensor, "B R D"],
        mask: Float[Tensor, "#B #H R S"],
        past: list[Float[Tensor, "B _ D2"]] | None = None,
    ) -> Float[Tensor, "B R D"]:
        """Run all layers over a context, or over the newest part of one.

        Args:
            prompt: Prompts, to which all tokens of the context attend.
            context: State and action tokens, with their positions.
            mask: Additive mask; columns are the past tokens, then the context.
            past: Keys and values of past tokens, per layer; those of the context are appended.
        """
        B, R, _ = context.shape
        x = context
        own_masks = by_layer(mask, len(self.blocks), self.heads)
        for layer, (cross, block, own) in enumerate(zip(self.cross, self.blocks, own_masks, strict=True)):
            x = cross(x, prompt.keys_values[layer], prompt.mask)
            kernel = _Kernel(self.heads, self.dropout if self.training else 0.0, B, own, past, layer)
            x = block(x.flatten(0, 1), B * R, kernel).unflatten(0, (B, R))
        return x


@dataclass
class _Kernel:
    """Self-attention of B contexts over their past and themselves."""

    heads: int
    dropout: float
    batch: int
    mask: Float[Tensor, "#B #H R S"]
    past: list[Float[Tensor, "B _ D2"]] | None
    layer: int

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor, /) -> Tensor:
        assert q_keyed is not None
        assert q_queries is None
        columns = keys_values.unflatten(0, (self.batch, -1))
        if self.past is not None:
            self.past[self.layer] = columns = torch.cat([self.past[self.layer], columns], dim=1)
        q = q_keyed.unflatten(0, (self.batch, -1))
        return attend(q, columns, self.mask, heads=self.heads, dropout=self.dropout).flatten(0, 1)


@dataclass
class CrossCache:
    """Past of B environments: their prompts, and the keys and values of past timesteps.

    All environments add one timestep at a time, so their newest tokens are in the same columns; what came before a
    reset is invalid. With a window W old columns are dropped, and the cost of a step does not grow with the episode.
    """

    window: int | None
    """W in timesteps; None for no limit."""
    prompt: PromptKeys
    """Keys and values of the prompts."""
    ids: TokenIds
    """Ids of the token in each column."""
    valid: Bool[Tensor, "B columns"]
    """True where a column holds a real token of the present episode."""
    keys_values: list[Float[Tensor, "B columns D2"]]
    """Keys and values of the context side by side, per layer."""
    past_actions: bool = True
    """Whether later segments attend to actions."""

    @classmethod
    def of(cls, prompt: PromptKeys, window: int | None, *, past_actions: bool = True) -> "CrossCache":
        """Return a cache of prompts without a past."""
        B, _, D2 = prompt.keys_values[0].shape
        none = torch.zeros(B, 0, dtype=torch.long, device=prompt.mask.device)
        past = [prompt.mask.new_zeros(B, 0, D2) for _ in prompt.keys_values]
        return cls(window, prompt, TokenIds(none, none, none), none.bool(), past, past_actions)

    def extend(
        self,
        transformer: CrossAttentionTransformer,
        tokens: Float[Tensor, "B S D"],
        ids: TokenIds,
        valid: Bool[Tensor, "B S"],
        positions: RelativePositions | None = None,
    ) -> Float[Tensor, "B S D"]:
        """Add the tokens [a_{t-1}, s_t] of one timestep, and return their outputs as a full forward pass would.

        Raises:
            MaskError: if `may_attend` cannot be computed with this cache.
        """
        M, L = ids.kind.shape[1] - 1, self.prompt.mask.shape[-1]
        sizes = SegmentSizes(prompt=0, state=M, action=1)
        check_new_tokens(sizes, self.window, ALL_SEGMENTS, ids)
        timesteps = int(ids.timestep.max()) + 1
        check_cross_attention(replace(sizes, prompt=L), self.window, ALL_SEGMENTS, timesteps)
        self.ids, self.valid = concatenate(self.ids, ids), torch.cat([self.valid, valid], dim=1)
        hidden = None if self.past_actions else torch.ones_like(self.valid)
        mask = self_mask(ids, self.ids, self.valid, self.window, positions, tokens.dtype, hidden)
        outputs = transformer(self.prompt, tokens, mask, self.keys_values)
        self._forget(ids.kind.shape[1] * (timesteps if self.window is None else min(timesteps, self.window)))
        return outputs

    def replace(self, where: Bool[Tensor, " B"], prompts: PromptKeys) -> None:
        """Reset the marked environments, with new prompts in order."""
        self.prompt.replace(where, prompts)
        self.valid[where] = False

    def _forget(self, kept: int) -> None:
        """Drop all columns but the newest."""
        newest = slice(max(self.valid.shape[1] - kept, 0), None)
        self.ids, self.valid = self.ids.select(newest), self.valid[:, newest]
        self.keys_values[:] = [each[:, newest] for each in self.keys_values]


def self_mask(
    rows: TokenIds,
    columns: TokenIds,
    valid: Bool[Tensor, "#B S"],
    window: int | None,
    positions: RelativePositions | None,
    dtype: torch.dtype,
    hidden: Bool[Tensor, "#B S"] | None = None,
) -> Float[Tensor, "#B #H R S"]:
    """Return the additive mask of causal self-attention, with the bias of relative positions if there are any.

    Args:
        rows: Tokens that attend, with or without a batch dimension.
        columns: Tokens that are attended to.
        valid: Which columns are real.
        window: W in timesteps; None for no limit.
        positions: Relative positions, if any.
        dtype: Type of the scores.
        hidden: Columns whose actions are hidden from later segments; None: none.
    """
    allowed = masks.may_attend(rows, columns, window=window, causal_segments=ALL_SEGMENTS)
    if hidden is not None:
        allowed = masks.hide_actions(allowed, rows, columns, hidden)
    mask = additive(allowed & valid[:, None, :], dtype)[:, None]
    return mask if positions is None else mask + positions.bias(rows, columns)
