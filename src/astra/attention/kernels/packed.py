"""Packed attention: several short trajectories side by side in one product.

A pack of G trajectories has the columns of all prompts and of its G contexts; columns of other trajectories are
masked. Many tiny products become a few larger ones, and prompts are copied once per G trajectories.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from astra.attention.kernels.layout import Parts, Rows, SharedPrompt
from astra.attention.layers import attend, cat

HIDDEN = torch.finfo(torch.float32).min / 8
"""Score of a column that belongs to another trajectory; finite, as in `additive`."""


class PackedKernel:
    """Attention of packs of short trajectories, where many trajectories share few prompts."""

    def __init__(
        self,
        rows: Rows,
        prompt: SharedPrompt,
        mask: Float[Tensor, "#B #H R S"],
        pack: int,
        *,
        heads: int,
        dropout: float,
    ) -> None:
        """Spread the mask over the columns of all prompts and of `pack` contexts, once for all layers."""
        self.rows, self.prompt, self.heads, self.dropout = rows, prompt, heads, dropout
        self.packs = packs = rows.batch // pack
        device, P = mask.device, rows.prompts
        of = torch.arange(rows.batch, device=device) if prompt.of is None else prompt.of
        own_prompt = of.view(packs, 1, pack, 1, 1, 1) == torch.arange(P, device=device)[:, None]
        own_context = torch.eye(pack, dtype=torch.bool, device=device).view(1, 1, pack, 1, pack, 1)
        # dimensions: packs, heads, trajectory, row, prompt or trajectory, column
        mask = mask.unflatten(0, (-1, pack if len(mask) > 1 else 1)).transpose(1, 2)[..., None, :]
        of_prompt, of_context = mask.split([rows.prompt, rows.context], dim=-1)
        parts = [
            torch.where(own_prompt, of_prompt, HIDDEN).flatten(-2),
            torch.where(own_context, of_context, HIDDEN).flatten(-2),
        ]
        whole = [part.expand(packs, part.shape[1], pack, *part.shape[3:]) for part in parts]
        mask = torch.cat(whole, dim=-1)
        self.mask, self.query_mask = mask.flatten(2, 3), mask[:, :, :, rows.context :].flatten(2, 3)

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor, /) -> Tensor:
        """Compute attention pack by pack."""
        rows, packs = self.rows, self.packs
        parts = Parts.cut(rows, q_keyed, q_queries, keys_values)
        attend_to = partial(attend, heads=self.heads, dropout=self.dropout)
        outputs = []
        if parts.q_prompt is not None:
            outputs.append(attend_to(parts.q_prompt, parts.prompt, self.prompt.mask).flatten(0, 1))
        q = cat([part for part in (parts.q_context, parts.q_queries) if part is not None], 1)
        num_rows = q.shape[1]
        prompts = parts.prompt.flatten(0, 1).expand(packs, -1, -1)
        columns = torch.cat([prompts, parts.context.reshape(packs, -1, prompts.shape[-1])], dim=1)
        mask = self.query_mask if parts.q_context is None else self.mask
        mixed = attend_to(q.reshape(packs, -1, q.shape[-1]), columns, mask)
        num_context = 0 if parts.q_context is None else rows.context
        mixed = mixed.view(rows.batch, num_rows, -1)
        outputs += [part.flatten(0, 1) for part in mixed.split([num_context, num_rows - num_context], dim=1)]
        return cat(outputs, 0)
