"""A small encoder of frames with random weights, for CPUs: patches of a few pixels, merged two by two.

    frame -> patches of 4 pixels -> merged, up to patch_size -> norm -> one vector per patch
                                                            `-> a block in which patches read each other
                                                                -> side by side -> one vector per picture

Every patch is read alone, as in Gato, whose patches go through a residual block (Reed et al. 2022); its trunk lets them
read each other. The stages are like those of the small encoder of crops. Deviation: a ViT reads a patch by one product,
which of 32 x 32 pixels sees little.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.attention.layers import by_head, keys_and_values
from astra.attention.transformer import Transformer
from astra.tokenizers.vision.crop_encoders import merge

WIDTHS = (16, 32, 64)
"""Numbers per patch after the first stages; after the last there are 128."""
FIRST = 4
"""Side in pixels of what the first stage reads at once; every further stage merges two by two."""


class SmallImageEncoder(nn.Module):
    """One vector of 128 numbers per patch, or, from all of them, one per picture."""

    width = 128

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_size: tuple[int, int],
        patch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        patches: bool,
    ) -> None:
        """Make the stages, and the block where one vector per picture is to come out.

        Args:
            image_size: height and width of the pictures.
            patch_size: 4, 8, 16, 32, ...
            mean: of the colors, as shares of 255.
            std: the colors' deviation.
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
        widths = [3, *(WIDTHS[min(stage, len(WIDTHS) - 1)] for stage in range(count - 1)), self.width]
        self.merged = (FIRST, *[2] * (count - 1))
        self.stages = nn.ModuleList(
            nn.Linear(merged * merged * before, after)
            for merged, before, after in zip(self.merged, widths, widths[1:], strict=False)
        )
        for stage in self.stages:
            assert isinstance(stage, nn.Linear)
            nn.init.kaiming_normal_(stage.weight, nonlinearity="relu")
            nn.init.zeros_(stage.bias)
        self.register_buffer("mean", 255 * torch.tensor(mean).repeat(FIRST**2), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).repeat(FIRST**2), persistent=False)
        self.num_patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.end = nn.LayerNorm(self.width) if patches else WholePicture(self.num_patches, self.width)

    def forward(self, pixels: Shaped[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode RGB pictures, 0 to 255; the vectors of patches lie end to end, row by row."""
        first, *others = self.stages
        assert isinstance(first, nn.Linear)
        # Normalizing the weights instead of the pixels gives the same and touches a thousandth of the numbers.
        weight = first.weight / self.std
        colors = merge(pixels.permute(0, 2, 3, 1), FIRST).to(weight.dtype)
        grid = F.relu(F.linear(colors, weight, first.bias - weight @ self.mean))
        for merged, stage in zip(self.merged[1:], others, strict=True):
            grid = F.relu(stage(merge(grid, merged)))
        return self.end(grid.flatten(1, 2)).flatten(1)


class WholePicture(nn.Module):
    """One vector per picture from those of its patches, which read each other in one block."""

    def __init__(self, num_patches: int, width: int) -> None:
        """Make the block and the layer that joins the patches."""
        super().__init__()
        self.places = nn.Parameter(torch.randn(num_patches, width) * init_std(width))
        self.mixer = Transformer(layers=1, heads=4, width=width)
        self.joined = nn.Linear(num_patches * width, width)

    def forward(self, patches: Float[Tensor, "frames P F"]) -> Float[Tensor, "frames F"]:
        """Join the patches of each picture."""
        rows = (patches + self.places).flatten(0, 1)
        kernel = _WithinPictures(len(patches), self.mixer.heads)
        for block in self.mixer.blocks:
            rows = block(rows, len(rows), kernel)
        return self.joined(self.mixer.final_norm(rows).reshape(len(patches), -1))


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
