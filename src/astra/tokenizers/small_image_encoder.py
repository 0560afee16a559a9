"""A small encoder of frames with random weights, for CPUs: patches that are merged, then read each other.

    frame -> patches of 4 pixels -> merged two by two, up to patch_size -> two transformer blocks -> one vector a patch

Source: the stages are those of the small encoder of crops. They stand in for the single product by which a ViT reads a
patch, as Gato's residual block does (Reed et al. 2022): of a patch of 32 pixels one product sees little.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.layers import by_head, keys_and_values
from astra.attention.transformer import Transformer
from astra.tokenizers.crop_encoders import merge

WIDEST = 128
FIRST = 4
"""Side in pixels of what the first stage reads at once; every further stage merges two by two."""


class SmallImageEncoder(nn.Module):
    """One vector of 128 numbers per patch, or, from all of them side by side, one per picture."""

    width = WIDEST

    def __init__(self, image_size: tuple[int, int], patch_size: int, *, patches: bool) -> None:
        """Make stages and blocks.

        Args:
            image_size: height and width of the pictures.
            patch_size: 4, 8, 16, 32, ...
            patches: whether patches come out, one after the other, or one vector per picture.

        Raises:
            ValueError: if stages of two by two do not make such patches.
        """
        super().__init__()
        count = max((patch_size // FIRST).bit_length(), 1)
        if patch_size != FIRST << (count - 1):
            raise ValueError(
                f"the small encoder merges patches of {FIRST} pixels two by two, got patch_size={patch_size}"
            )
        widths = [3, *(min(WIDEST, 32 << stage) for stage in range(count - 1)), WIDEST]
        self.merged = (FIRST, *[2] * (count - 1))
        self.stages = nn.ModuleList(
            nn.Linear(merged * merged * before, after)
            for merged, before, after in zip(self.merged, widths, widths[1:], strict=False)
        )
        for stage in self.stages:
            assert isinstance(stage, nn.Linear)
            nn.init.kaiming_normal_(stage.weight, nonlinearity="relu")
            nn.init.zeros_(stage.bias)
        self.num_patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.places = nn.Parameter(torch.randn(self.num_patches, WIDEST) * 0.02)
        self.mixer = Transformer(layers=2, heads=4, width=WIDEST)
        self.joined = None if patches else nn.Linear(self.num_patches * WIDEST, WIDEST)

    def forward(self, pixels: Float[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode normalised pictures; the vectors of patches lie end to end, row by row."""
        grid = pixels.permute(0, 2, 3, 1)
        for merged, stage in zip(self.merged, self.stages, strict=True):
            grid = F.relu(stage(merge(grid, merged)))
        rows = (grid.flatten(1, 2) + self.places).flatten(0, 1)
        kernel = _WithinPictures(len(pixels), self.mixer.heads)
        for block in self.mixer.blocks:
            rows = block(rows, len(rows), kernel)
        vectors = self.mixer.final_norm(rows).reshape(len(pixels), -1)
        return vectors if self.joined is None else self.joined(vectors)


class _WithinPictures:
    """Lets the patches of each picture read each other."""

    def __init__(self, pictures: int, heads: int) -> None:
        self.pictures, self.heads = pictures, heads

    def __call__(self, q_read: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        assert q_read is not None
        q = by_head(q_read.unflatten(0, (self.pictures, -1)), self.heads)
        keys, values = keys_and_values(keys_values.unflatten(0, (self.pictures, -1)), self.heads)
        mixed = F.scaled_dot_product_attention(q, keys, values)
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1)
