"""VIMA's trunk: in every layer the context reads the prompt by cross-attention, then itself by causal self-attention.

    prompt   p1 p2 p3 ---- keys, values --+------------------------------+
                                          v                              v
    context  s1 s2 | a | s1 s2 | a | -> cross -> self -> cross -> self -> ...      outputs
                                        layer 1          layer 2

The prompt itself is not transformed: its keys and values in all layers come from its tokens, so they are made once per
prompt, however long the rollout. The context's are kept by `CrossCache`; a control step then costs one timestep.

Source: Jiang et al. 2023, VIMA.
Deviation: prompt tokens are normalized, without parameters, before they become keys and values. VIMA's come out of T5,
which ends with a norm; with words that are trained from small random vectors the prompt would hardly be heard at first.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import initialize
from astra.attention.layers import attend
from astra.attention.masks import ALL_SEGMENTS, additive, may_attend
from astra.attention.positions import LearnedPositions, RelativePositions
from astra.attention.segments import TokenIds, concatenate
from astra.attention.vima_block import CrossBlock, VimaBlock


@dataclass
class PromptKeys:
    """Keys and values of B prompts, side by side, for each layer."""

    keys_values: list[Float[Tensor, "B L D2"]]
    mask: Float[Tensor, "B 1 1 L"]
    """Additive."""

    def replace(self, where: Bool[Tensor, " B"], other: "PromptKeys") -> None:
        """Put other prompts, in order, in place of those marked."""
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
    """Layers of cross-attention and self-attention: 32 D^2 + 17 D parameters each, and the tables of positions.

    The tables (512 places of the context, 256 of the prompt) belong to the trunk, as in VIMA: with them all counts that
    the paper prints for VIMA come out.
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
        """Make and initialize the layers.

        Args:
            layers: Layers, each of a cross-attention block and a self-attention block.
            heads: Heads of both.
            width: D.
            dropout: Share of activations dropped in training.
            gates: Whether cross-attention comes in through tanh gates, as in Flamingo.
            positions: The context's table, if any.
            prompt_positions: The prompt's.
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
        """Make keys and values of P distinct prompts once, and give each trajectory those of its own.

        Args:
            tokens: Prompts, with their positions.
            valid: Which tokens are real.
            of: Which prompt belongs to each trajectory; None: one each, in order.
        """
        tokens = F.layer_norm(tokens, tokens.shape[-1:])
        made = [block.keys_values(tokens) for block in self.cross]  # pyright: ignore[reportCallIssue]
        mask = additive(valid, tokens.dtype)[:, None, None]
        return PromptKeys(made, mask) if of is None else PromptKeys([each[of] for each in made], mask[of])

    def forward(
        self,
        prompt: PromptKeys,
        context: Float[Tensor, "B C D"],
        mask: Float[Tensor, "#B #H C S"],
        past: list[Float[Tensor, "B _ D2"]] | None = None,
    ) -> Float[Tensor, "B C D"]:
        """Run all layers over a context, or over the newest part of one.

        Args:
            prompt: What all tokens of the context may read.
            context: State and action tokens, with their positions.
            mask: Additive; columns are the tokens of the past, then the context.
            past: Keys and values of the tokens before, by layer; those of the context are appended to it.
        """
        B, C, _ = context.shape
        x = context
        for layer, (cross, block) in enumerate(zip(self.cross, self.blocks, strict=True)):
            x = cross(x, prompt.keys_values[layer], prompt.mask)
            kernel = _Kernel(self.heads, self.dropout if self.training else 0.0, B, mask, past, layer)
            x = block(x.flatten(0, 1), B * C, kernel).unflatten(0, (B, C))
        return x


@dataclass
class _Kernel:
    """Attention of B contexts to themselves and to what they remember."""

    heads: int
    dropout: float
    batch: int
    mask: Float[Tensor, "#B #H C S"]
    past: list[Float[Tensor, "B _ D2"]] | None
    layer: int

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        assert q_read is not None
        assert q_queries is None
        read = keys_values.unflatten(0, (self.batch, -1))
        if self.past is not None:
            self.past[self.layer] = read = torch.cat([self.past[self.layer], read], dim=1)
        q = q_read.unflatten(0, (self.batch, -1))
        return attend(q, read, self.mask, heads=self.heads, dropout=self.dropout).flatten(0, 1)


@dataclass
class CrossCache:
    """What B slots remember: their prompts, and the keys and values of the timesteps that they can still read.

    All slots take in one timestep at a time, so their newest tokens stand in the same columns; what a slot read before
    it began anew is invalid. Columns that no slot can read any more are dropped, so with a window W a step costs the
    same however long the episode is.
    """

    window: int | None
    prompt: PromptKeys
    ids: TokenIds
    valid: Bool[Tensor, "B C"]
    keys_values: list[Float[Tensor, "B C D2"]]

    @classmethod
    def of(cls, prompt: PromptKeys, window: int | None) -> "CrossCache":
        """Begin with prompts alone."""
        B, _, D2 = prompt.keys_values[0].shape
        none = torch.zeros(B, 0, dtype=torch.long, device=prompt.mask.device)
        past = [prompt.mask.new_zeros(B, 0, D2) for _ in prompt.keys_values]
        return cls(window, prompt, TokenIds(none, none, none), none.bool(), past)

    def read(
        self,
        transformer: CrossAttentionTransformer,
        tokens: Float[Tensor, "B S D"],
        ids: TokenIds,
        valid: Bool[Tensor, "B S"],
        positions: RelativePositions | None = None,
    ) -> Float[Tensor, "B S D"]:
        """Take in the tokens of one more timestep and give their outputs, as a full forward would."""
        self.ids, self.valid = concatenate(self.ids, ids), torch.cat([self.valid, valid], dim=1)
        mask = self_mask(ids, self.ids, self.valid, self.window, positions, tokens.dtype)
        outputs = transformer(self.prompt, tokens, mask, self.keys_values)
        timesteps = int(ids.timestep.max()) + 1
        self._forget(ids.kind.shape[1] * (timesteps if self.window is None else min(timesteps, self.window)))
        return outputs

    def replace(self, where: Bool[Tensor, " B"], prompts: PromptKeys) -> None:
        """Begin anew in the slots marked, with other prompts, in order."""
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
    valid: Bool[Tensor, "B C"],
    window: int | None,
    positions: RelativePositions | None,
    dtype: torch.dtype,
) -> Float[Tensor, "#B #H R C"]:
    """Make the additive mask of causal self-attention, with the bias of relative positions if there are any.

    Args:
        rows: Tokens that read, with or without a batch dimension.
        columns: Tokens that are read.
        valid: Which of these are real.
        window: W, in timesteps; None reads back to the first.
        positions: Relative positions.
        dtype: Of the scores.
    """
    allowed = may_attend(rows, columns, window=window, causal_segments=ALL_SEGMENTS)
    mask = additive(allowed & valid[:, None, :], dtype)[:, None]
    return mask if positions is None else mask + positions.bias(rows, columns)
