"""The transformer of RT-1: frame tokens attend causally to each other, action tokens to frame tokens only.

            frame 1   frame 2                       frame 1   frame 2
            i i       i i                           i i       i i
    i       1 .       . .                  a_1      1 1       . .
    i       1 1       . .                  a_1      1 1       . .
    i       1 1       1 .                  a_2      1 1       1 1
    i       1 1       1 1                  a_2      1 1       1 1

No token attends to an action token, not even itself: its input is its position only.

Source: Brohan et al. 2023 and the mask and sizes of its published code.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.attention.layers import Dropout, by_head


class RT1Block(nn.Module):
    """Pre-LN block: attention with heads of any width, and one linear layer; 4 D H k + D^2 weights."""

    def __init__(self, width: int, heads: int, head_width: int, dropout: float) -> None:
        """Build the layers; the transformer initializes their weights."""
        super().__init__()
        inner = heads * head_width
        self.heads, self.drop = heads, Dropout(dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.q, self.keys_values = nn.Linear(width, inner), nn.Linear(width, 2 * inner)
        self.out = nn.Linear(inner, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Linear(width, width)

    def forward(self, rows: Float[Tensor, "B R D"], num_frame_rows: int, mask: Tensor) -> Float[Tensor, "B R D"]:
        """Attend to the first `num_frame_rows` rows where the mask is True, then transform."""
        normed = self.attention_norm(rows)
        keys, values = (
            by_head(part, self.heads) for part in self.keys_values(normed[:, :num_frame_rows]).chunk(2, dim=-1)
        )
        attended = F.scaled_dot_product_attention(by_head(self.q(normed), self.heads), keys, values, attn_mask=mask)
        rows = rows + self.drop(self.out(attended.transpose(1, 2).flatten(2)))
        return rows + self.drop(self.feed_forward(self.feed_forward_norm(rows)))


class RT1Transformer(nn.Module):
    """Blocks over a few frames of m tokens, with N action tokens after each predicting frame.

    Deviation: a norm before the heads, as in all policies here.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        head_width: int,
        dropout: float,
        history: int,
        frame_tokens: int,
        action_tokens: int,
    ) -> None:
        """Build the layers and initialize them as GPT-2 does."""
        super().__init__()
        self.frame_tokens, self.action_tokens = frame_tokens, action_tokens
        self.inputs = nn.Linear(width, width)
        self.positions = nn.Embedding(history * (frame_tokens + action_tokens), width)
        self.blocks = nn.ModuleList(RT1Block(width, heads, head_width, dropout) for _ in range(layers))
        self.final_norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=init_std(width))
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            assert isinstance(block, RT1Block)
            for layer in (block.out, block.feed_forward):
                nn.init.normal_(layer.weight, std=init_std(width) / (2 * layers) ** 0.5)

    def forward(self, frames: Float[Tensor, "B W m D"], predicting: Int[Tensor, "B Q"]) -> Float[Tensor, "B Q N D"]:
        """Return the outputs of the action tokens after the predicting frames, which are numbered from 0."""
        W, m, N, device = frames.shape[1], self.frame_tokens, self.action_tokens, frames.device
        starts = (m + N) * torch.arange(W, device=device)[:, None]
        of_frames = self.positions(starts + torch.arange(m, device=device))
        of_actions = self.positions((m + N) * predicting[..., None] + m + torch.arange(N, device=device))
        frame_rows = (self.inputs(frames) + of_frames).flatten(1, 2)
        rows = torch.cat([frame_rows, of_actions.flatten(1, 2)], dim=1)
        number = torch.arange(W * m, device=device)
        last = torch.cat(
            [number.expand(len(frames), -1), ((predicting + 1) * m - 1).repeat_interleave(N, dim=1)], dim=1
        )
        mask = (number <= last[..., None])[:, None]
        for block in self.blocks:
            rows = block(rows, W * m, mask)
        return self.final_norm(rows[:, W * m :]).unflatten(1, (-1, N))
