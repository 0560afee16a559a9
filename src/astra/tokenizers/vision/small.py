"""Small encoders of patches with random weights, for CPUs; patches are merged two by two.

    image -> patches of 4 pixels -> merged, up to patch_size -> norm -> one vector per patch
                                                            `-> a block in which patches attend to each other
                                                                -> concatenated -> one vector per image

Each patch is encoded alone, as in Gato, whose patches pass through a residual block (Reed et al. 2022); the policy's
trunk lets them attend to each other. Deviation: a ViT embeds a patch by one product, which sees little of 32 x 32
pixels.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.attention.layers import by_head, keys_and_values
from astra.attention.transformer import Transformer

WIDTHS = (16, 32, 64)
"""Width after the first stages of the image encoder; it is 128 after the last one."""
FIRST = 4
"""Side in pixels of the patches of the first stage; every later stage merges 2 x 2 patches."""


class PatchStages(nn.Module):
    """Linear layers with ReLU: the first embeds patches of 4 pixels, each of the others merges 2 x 2 patches.

    Every stage is one matrix product over patches that do not overlap, which is fast on a CPU. Kaiming initialization
    keeps the scale of the features through the stages.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Build the stages.

        Args:
            widths: Width after each stage.
            mean: Mean of the colors, as shares of 255.
            std: Standard deviation of the colors, as shares of 255.
        """
        super().__init__()
        self.merged = (FIRST, *[2] * (len(widths) - 1))
        self.stages = nn.ModuleList(
            nn.Linear(merged * merged * before, after)
            for merged, before, after in zip(self.merged, (3, *widths), widths, strict=False)
        )
        for stage in self.stages:
            assert isinstance(stage, nn.Linear)
            nn.init.kaiming_normal_(stage.weight, nonlinearity="relu")
            nn.init.zeros_(stage.bias)
        self.register_buffer("mean", 255 * torch.tensor(mean).repeat(FIRST**2), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).repeat(FIRST**2), persistent=False)

    def grid(self, pixels: Shaped[Tensor, "R _ _ 3"]) -> Float[Tensor, "R _ _ F"]:
        """Encode RGB pixels, 0 to 255, into a grid of patches."""
        first, *others = self.stages
        assert isinstance(first, nn.Linear)
        # Normalizing the weights instead of the pixels gives the same and touches a thousandth of the numbers.
        weight = first.weight / self.std
        colors = merge(pixels, FIRST).to(weight.dtype)
        grid = F.relu(F.linear(colors, weight, first.bias - weight @ self.mean))
        for merged, stage in zip(self.merged[1:], others, strict=True):
            grid = F.relu(stage(merge(grid, merged)))
        return grid


def merge(grid: Tensor, merged: int) -> Tensor:
    """Concatenate the numbers of neighboring places: (R, h, w, c) to (R, h / m, w / m, m m c)."""
    R, height, width, channels = grid.shape
    squares = grid.reshape(R, height // merged, merged, width // merged, merged, channels).transpose(2, 3)
    return squares.reshape(R, height // merged, width // merged, -1)


class SmallImageEncoder(PatchStages):
    """Encoder of camera frames: one vector of 128 numbers per patch, or one per image."""

    width = 128

    def __init__(
        self,
        image_size: tuple[int, int],
        patch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        patches: bool,
    ) -> None:
        """Build the stages, and the pooling if one vector per image is wanted.

        Args:
            image_size: Height and width of the images.
            patch_size: 4, 8, 16, 32, ...
            mean: Mean of the colors, as shares of 255.
            std: Standard deviation of the colors, as shares of 255.
            patches: Whether to return one vector per patch, concatenated, instead of one per image.

        Raises:
            ValueError: if merging 2 x 2 patches does not lead to patches of this size.
        """
        count = max((patch_size // FIRST).bit_length(), 1)
        if patch_size != FIRST << (count - 1):
            raise ValueError(
                f"the small encoder merges patches of {FIRST} pixels two by two, so patch_size must be {FIRST}, "
                f"{2 * FIRST}, {4 * FIRST}, ...; got patch_size={patch_size}"
            )
        widths = (*(WIDTHS[min(stage, len(WIDTHS) - 1)] for stage in range(count - 1)), self.width)
        super().__init__(widths, mean, std)
        self.num_patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.end = nn.LayerNorm(self.width) if patches else ImagePooling(self.num_patches, self.width)

    def forward(self, pixels: Shaped[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode RGB images, 0 to 255; vectors of patches are concatenated, row by row."""
        grid = self.grid(pixels.permute(0, 2, 3, 1))
        return self.end(grid.flatten(1, 2)).flatten(1)


class ImagePooling(nn.Module):
    """One vector per image from those of its patches, which attend to each other in one block."""

    def __init__(self, num_patches: int, width: int) -> None:
        """Build the block and the layer that combines the patches."""
        super().__init__()
        self.places = nn.Parameter(torch.randn(num_patches, width) * init_std(width))
        self.mixer = Transformer(layers=1, heads=4, width=width)
        self.joined = nn.Linear(num_patches * width, width)

    def forward(self, patches: Float[Tensor, "frames P F"]) -> Float[Tensor, "frames F"]:
        """Combine the patches of each image."""
        rows = (patches + self.places).flatten(0, 1)
        kernel = _WithinImages(len(patches), self.mixer.heads)
        for block in self.mixer.blocks:
            rows = block(rows, len(rows), kernel)
        return self.joined(self.mixer.final_norm(rows).reshape(len(patches), -1))


class _WithinImages:
    """Attention kernel in which the patches of each image attend to each other."""

    def __init__(self, images: int, heads: int) -> None:
        self.images, self.heads = images, heads

    def __call__(self, q_keyed: Tensor | None, q_queries: Tensor | None, keys_values: Tensor) -> Tensor:
        assert q_keyed is not None
        q = by_head(q_keyed.unflatten(0, (self.images, -1)), self.heads)
        keys, values = keys_and_values(keys_values.unflatten(0, (self.images, -1)), self.heads)
        mixed = F.scaled_dot_product_attention(q, keys, values)
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1)
