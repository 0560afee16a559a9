"""Image encoders from `transformers`: ResNet, ViT and MAE-ViT, pretrained or with random weights."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from astra.tokenizers.vision.pretrained import load_pretrained, load_pretrained_config

ImageEncoder = Literal["resnet", "vit", "mae", "small"]
EncoderSize = Literal["tiny", "small", "base"]

RESNETS: dict[EncoderSize, dict[str, Any]] = {
    "tiny": {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 1, 1], "layer_type": "basic"},
    "small": {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"},
    "base": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]},
}
"""Sizes of a ResNet: roughly a ResNet-10 of a quarter of the width, ResNet-18, ResNet-50."""

VITS: dict[EncoderSize, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256},
    "small": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
}
"""Sizes of a ViT and an MAE-ViT: for CPUs, ViT-S, ViT-B."""

ImageSize = int | tuple[int, int]
"""Side of a square image in pixels, or height and width."""


def height_width(size: ImageSize | list[int]) -> tuple[int, int]:
    """Return height and width in pixels."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class ResNetEncoder(nn.Module):
    """ResNet that returns one vector per image, the mean of its last feature map."""

    def __init__(self, size: EncoderSize, pretrained: str | None) -> None:
        """Build or load the network.

        Batch normalization would make an image's token depend on the rest of the batch, and differ between training and
        acting. Random weights use group normalization instead; pretrained weights keep their own statistics.
        Source: Chi et al. 2023, Diffusion Policy (its visual encoder).
        """
        super().__init__()
        from transformers import ResNetConfig, ResNetModel

        if pretrained is None:
            model: Any = ResNetModel(ResNetConfig(**RESNETS[size]))
            normalize_by_group(model)
        else:
            load_pretrained_config(pretrained, "resnet")
            model = load_pretrained(ResNetModel, pretrained)
        self.model = model
        self.width: int = model.config.hidden_sizes[-1]

    def train(self, mode: bool = True) -> "ResNetEncoder":
        """Set the mode, except in batch normalization, which always uses its pretrained statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pixels: Float[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode normalized images."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # convolutions are up to a third faster
        return self.model(pixel_values=pixels).pooler_output.flatten(1)


class ViTEncoder(nn.Module):
    """ViT that returns one vector per image, its class token, or one per patch."""

    def __init__(
        self,
        size: EncoderSize,
        pretrained: str | None,
        image_size: ImageSize,
        patch_size: int = 16,
        *,
        patches: bool = False,
    ) -> None:
        """Build or load the network; pretrained weights have their own patch size."""
        super().__init__()
        from transformers import ViTConfig, ViTModel

        if pretrained is None:
            # Its annotations know squares only; the network takes height and width.
            shape: Any = {"image_size": list(height_width(image_size)), "patch_size": patch_size}
            model = ViTModel(ViTConfig(**VITS[size], **shape), add_pooling_layer=False)
        else:
            check_image_size(pretrained, "vit", image_size)
            model = load_pretrained(ViTModel, pretrained, add_pooling_layer=False)
        self.model = model
        self.width: int = model.config.hidden_size
        self.num_patches: int = model.embeddings.patch_embeddings.num_patches
        self.patches = patches

    def forward(self, pixels: Float[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode normalized images; vectors of patches are concatenated, row by row."""
        hidden = self.model(pixel_values=pixels).last_hidden_state
        return hidden[:, 1:].flatten(1) if self.patches else hidden[:, 0]


class MAEEncoder(nn.Module):
    """ViT of a masked auto-encoder, without masking: one vector per image, its class token, or one per patch."""

    def __init__(
        self,
        size: EncoderSize,
        pretrained: str | None,
        image_size: ImageSize,
        patch_size: int = 16,
        *,
        patches: bool = False,
    ) -> None:
        """Build or load the network; pretrained weights have their own patch size.

        Raises:
            ValueError: if the images are not square, or not of the size of the pretrained weights.
        """
        super().__init__()
        from transformers import ViTMAEConfig, ViTMAEModel

        height, width = height_width(image_size)
        if height != width:
            raise ValueError(f"an mae needs square images, got images.image_size={image_size}: use a vit")
        if pretrained is None:
            config = ViTMAEConfig(**VITS[size], image_size=height, patch_size=patch_size, mask_ratio=0.0)
            model = ViTMAEModel(config)
        else:
            check_image_size(pretrained, "vit_mae", image_size)
            model = load_pretrained(ViTMAEModel, pretrained, mask_ratio=0.0)
        self.model = model
        self.width: int = model.config.hidden_size
        self.num_patches: int = model.embeddings.patch_embeddings.num_patches
        self.patches = patches

    def forward(self, pixels: Float[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames _"]:
        """Encode normalized images; vectors of patches are concatenated, row by row."""
        # The model sorts patches by this noise even if none is masked; increasing noise keeps their order.
        noise = torch.arange(self.num_patches, dtype=pixels.dtype, device=pixels.device).expand(len(pixels), -1)
        hidden = self.model(pixel_values=pixels, noise=noise).last_hidden_state
        return hidden[:, 1:].flatten(1) if self.patches else hidden[:, 0]


def normalize_by_group(network: nn.Module, channels: int = 16) -> None:
    """Replace all batch normalization by group normalization with `channels` channels per group."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(child.num_features // channels, child.num_features))


def check_image_size(pretrained: str, model_type: str, image_size: ImageSize) -> None:
    """Check that images have the size that a pretrained ViT expects.

    Raises:
        FileNotFoundError: if the model does not exist.
        ValueError: if the sizes differ, or the model is of another type.
    """
    expected = load_pretrained_config(pretrained, model_type).image_size
    height, width = height_width(expected)
    if height_width(image_size) != (height, width):
        raise ValueError(
            f"{pretrained!r} expects images of {height} x {width} pixels, got images.image_size={image_size}: "
            f"set it to {expected}"
        )
