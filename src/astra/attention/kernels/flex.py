"""Attention on GPUs: PyTorch's FlexAttention, compiled, which skips blocks that are masked completely.

Its block mask comes from the same additive mask as every other kernel's. On a CPU it has no backward pass and its
forward pass is slower than row blocks, so there it is only tested.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from astra.attention.kernels.layout import Rows, SharedPrompt
from astra.attention.kernels.row_blocks import RowBlockKernel
from astra.attention.layers import by_head, keys_and_values


@cache
def compiled_flex_attention() -> Callable[..., Any]:
    """Return FlexAttention, compiled once per process."""
    return torch.compile(flex_attention)


class FlexKernel(RowBlockKernel):
    """FlexAttention over all rows of a trajectory in one call."""

    def __init__(
        self,
        rows: Rows,
        prompt: SharedPrompt,
        mask: Float[Tensor, "#B #H R S"],
        *,
        heads: int,
        flex: Callable[..., Any] | None = None,
    ) -> None:
        """Compute the block masks once for all layers; `flex` defaults to the compiled function."""
        super().__init__(rows, prompt, mask, (), heads=heads, dropout=0.0)
        self.flex = flex or compiled_flex_attention()
        self.blocks = [_block_mask(part) if part.shape[-2] else None for part in (self.masks[0], self.query_masks[0])]

    def attend(self, q: Tensor, keys_values: Tensor, mask: Tensor) -> Tensor:
        """Compute attention with the block mask that belongs to the mask."""
        blocks = self.blocks[0] if mask is self.masks[0] else self.blocks[1]
        keys, values = keys_and_values(keys_values, self.heads)
        # Lambdas: FlexAttention counts arguments, and the shape checks of tests wrap named functions.
        whole = mask.expand(len(q), self.heads, -1, -1)
        add = lambda score, b, h, i, j: score + whole[b, h, i, j]  # noqa: E731
        try:
            mixed = self.flex(by_head(q, self.heads), keys, values, score_mod=add, block_mask=blocks)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # no compiler, or an unknown device
            warnings.warn(f"FlexAttention does not run here, dense attention is used instead: {error}", stacklevel=2)
            return super().attend(q, keys_values, mask)
        return mixed.transpose(1, 2).flatten(2)


def _block_mask(mask: Float[Tensor, "B2 H2 R S"]) -> BlockMask:
    allowed = (mask > torch.finfo(mask.dtype).min / 8).any(dim=1)
    batch = len(allowed)

    may = (lambda b, h, i, j: allowed[b, i, j]) if batch > 1 else (lambda b, h, i, j: allowed[0, i, j])
    return create_block_mask(
        may, batch if batch > 1 else None, None, mask.shape[2], mask.shape[3], device=str(mask.device)
    )
