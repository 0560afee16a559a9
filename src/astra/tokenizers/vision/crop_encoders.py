"""Encoders of object crops of 32 x 32 pixels, with random weights: the paper's ViT and a small one for CPUs."""

from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from astra.tokenizers.vision.small import PatchStages

CropEncoder = Literal["small", "vit"]

VIMA_MEAN, VIMA_STD = (0.3471, 0.3429, 0.3383), (0.3011, 0.2961, 0.2956)
"""Mean and standard deviation of the colors of VIMA's crops, as shares of 255. Source: code of Jiang et al. 2023."""


class ViTCropEncoder(nn.Module):
    """One vector of 768 numbers per crop: a ViT with patches of 16 pixels and a projection, 29,538,816 parameters.

    Source: Jiang et al. 2023, VIMA, appendix C (its object encoder), which the paper adopts.
    """

    width = 768
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Build the network."""
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


class SmallCropEncoder(PatchStages):
    """One vector of 128 numbers per crop: patches of 4 pixels, merged 2 x 2 until one is left."""

    width = 128

    def __init__(self) -> None:
        """Build the stages: 8 x 8 patches of 32 numbers, 4 x 4 of 64, 2 x 2 of 128, one of 128."""
        super().__init__((32, 64, 128, self.width), VIMA_MEAN, VIMA_STD)

    def forward(self, crops: UInt8[Tensor, "R 32 32 3"]) -> Float[Tensor, "R F"]:
        """Encode crops."""
        return self.grid(crops).flatten(1)


def build_crop_encoder(name: CropEncoder) -> ViTCropEncoder | SmallCropEncoder:
    """Build the network with random weights."""
    return ViTCropEncoder() if name == "vit" else SmallCropEncoder()


def distinct_rows(rows: UInt8[Tensor, "R *_"]) -> tuple[Int64[Tensor, " distinct"], Int64[Tensor, " R"]]:
    """Return where each distinct row of bytes is (any of its places), and the index of each row among them.

    Rows are compared by a hash of 64 bits; if two different rows share one, all rows count as distinct.
    """
    words = rows.flatten(1).contiguous().view(torch.int64)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, words.shape[1:], generator=generator).to(words.device) | 1
    _, index = torch.unique((words * factors).sum(1), return_inverse=True)
    rows_in_order = torch.arange(len(rows), device=rows.device)
    places = rows_in_order.new_empty(int(index.max()) + 1 if len(rows) else 0)
    places[index] = rows_in_order
    if not torch.equal(words[places[index]], words):
        return rows_in_order, rows_in_order
    return places, index
