"""Encoders of object crops of 32 x 32 pixels, with random weights: the paper's ViT and a small one for CPUs."""

from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

CropEncoder = Literal["small", "vit"]

VIMA_MEAN, VIMA_STD = (0.3471, 0.3429, 0.3383), (0.3011, 0.2961, 0.2956)
"""Of the colors of VIMA's crops, as shares of 255. Source: the code of Jiang et al. 2023."""


class ViTCropEncoder(nn.Module):
    """One vector of 768 numbers per crop: a ViT with patches of 16 pixels and a projection, 29,538,816 parameters.

    Source: Jiang et al. 2023, VIMA, appendix C (its object encoder), which the paper takes over.
    """

    width = 768
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Make the network."""
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(VIMA_MEAN), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(VIMA_STD), persistent=False)
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        config = CLIPVisionConfig(
            image_size=32,
            patch_size=16,
            hidden_size=768,
            num_hidden_layers=4,
            num_attention_heads=24,
            intermediate_size=3072,
            projection_dim=self.width,
        )
        self.model = CLIPVisionModelWithProjection(config)

    def forward(self, crops: UInt8[Tensor, "R 32 32 3"]) -> Float[Tensor, "R F"]:
        """Encode crops."""
        pixels = (crops.to(self.mean.dtype) - self.mean) / self.std
        return self.model(pixel_values=pixels.permute(0, 3, 1, 2)).image_embeds


class SmallCropEncoder(nn.Module):
    """One vector of 128 numbers per crop: patches of 4 pixels, merged two by two until one is left.

    Every stage is one matrix product over patches that do not overlap, which is what a CPU does fastest. Kaiming's
    initialization keeps the size of the features through the stages.
    """

    width = 128

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Make the stages: 8 x 8 patches of 32 numbers, 4 x 4 of 64, 2 x 2 of 128, one of 128."""
        super().__init__()
        widths = (3, 32, 64, 128, self.width)
        self.stages = nn.ModuleList(
            nn.Linear(merged * merged * before, after)
            for merged, before, after in zip(MERGED, widths, widths[1:], strict=False)
        )
        for stage in self.stages:
            assert isinstance(stage, nn.Linear)
            nn.init.kaiming_normal_(stage.weight, nonlinearity="relu")
            nn.init.zeros_(stage.bias)
        pixels = MERGED[0] ** 2
        self.register_buffer("mean", 255 * torch.tensor(VIMA_MEAN).repeat(pixels), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(VIMA_STD).repeat(pixels), persistent=False)

    def forward(self, crops: UInt8[Tensor, "R 32 32 3"]) -> Float[Tensor, "R F"]:
        """Encode crops."""
        first, *others = self.stages
        assert isinstance(first, nn.Linear)
        # Normalizing the weights instead of the pixels gives the same and touches a thousandth of the numbers.
        weight = first.weight / self.std
        patches = merge(crops, MERGED[0]).to(weight.dtype)
        grid = F.relu(F.linear(patches, weight, first.bias - weight @ self.mean))
        for merged, stage in zip(MERGED[1:], others, strict=True):
            grid = F.relu(stage(merge(grid, merged)))
        return grid.flatten(1)


MERGED = (4, 2, 2, 2)
"""Pixels or patches along each side that a stage of the small encoder merges into one."""


def merge(grid: Tensor, merged: int) -> Tensor:
    """Lay the numbers of neighboring places side by side: (R, h, w, c) to (R, h / m, w / m, m m c)."""
    R, height, width, channels = grid.shape
    squares = grid.reshape(R, height // merged, merged, width // merged, merged, channels).transpose(2, 3)
    return squares.reshape(R, height // merged, width // merged, -1)


def build_crop_encoder(name: CropEncoder) -> ViTCropEncoder | SmallCropEncoder:
    """Make the network with new weights."""
    return ViTCropEncoder() if name == "vit" else SmallCropEncoder()


def distinct_rows(rows: UInt8[Tensor, "R *_"]) -> tuple[Int64[Tensor, " distinct"], Int64[Tensor, " R"]]:
    """Number the distinct rows of bytes: where each stands (any one of its places), and which one each row is.

    Rows are told apart by a code of 64 bits; should two different rows share one, all rows are counted as distinct.
    """
    words = rows.flatten(1).contiguous().view(torch.int64)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, words.shape[1:], generator=generator).to(words.device) | 1
    _, of = torch.unique((words * factors).sum(1), return_inverse=True)
    numbers = torch.arange(len(rows), device=rows.device)
    places = numbers.new_empty(int(of.max()) + 1 if len(rows) else 0)
    places[of] = numbers
    if not torch.equal(words[places[of]], words):
        return numbers, numbers
    return places, of
