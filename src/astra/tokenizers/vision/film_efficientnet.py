"""Camera frames as a few tokens each, conditioned on an instruction: FiLM, EfficientNet and TokenLearner.

    frame -> EfficientNet, each block's features scaled and shifted by the instruction -> places x D
          -> TokenLearner: each token a weighted mean over the places

Source: Brohan et al. 2023, RT-1; Perez et al. 2018 (FiLM); Tan and Le 2019 (EfficientNet); Ryoo et al. 2021
(TokenLearner).
Deviation: random weights, with group normalization as in `encoders`; RT-1 starts from ImageNet weights.
"""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.frames import resize
from astra.tokenizers.vision.encoders import normalize_by_group
from astra.tokenizers.vision.images import IMAGENET_MEAN, IMAGENET_STD

BOTTLENECK = 64
"""Width of TokenLearner's hidden layer."""


class FiLM(nn.Module):
    """Layer that scales and shifts features by a condition; it starts as the identity."""

    def __init__(self, condition: int, channels: int) -> None:
        """Build the layer with zero weights."""
        super().__init__()
        self.layer = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(
        self, features: Float[Tensor, "frames channels h w"], condition: Float[Tensor, "frames E"]
    ) -> Float[Tensor, "frames channels h w"]:
        """Scale and shift each channel."""
        scale, shift = self.layer(condition)[:, :, None, None].chunk(2, dim=1)
        return features * (1 + scale) + shift


class TokenLearner(nn.Module):
    """Layer that reduces many places to a few tokens, each a weighted mean over places."""

    def __init__(self, width: int, num_tokens: int) -> None:
        """Build the layers."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden, self.weigh = nn.Linear(width, BOTTLENECK), nn.Linear(BOTTLENECK, num_tokens)
        for layer in (self.hidden, self.weigh):
            nn.init.normal_(layer.weight, std=init_std(width))
            nn.init.zeros_(layer.bias)

    def forward(self, places: Float[Tensor, "frames P D"]) -> Float[Tensor, "frames m D"]:
        """Compute the tokens of each frame."""
        return torch.softmax(self.weigh(F.gelu(self.hidden(self.norm(places)))), dim=1).mT @ places


class FilmEfficientNet(nn.Module):
    """EfficientNet with FiLM and TokenLearner: m tokens per frame."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        width: int,
        condition: int,
        num_tokens: int,
        width_coefficient: float,
        depth_coefficient: float,
        image_size: int,
    ) -> None:
        """Build the network with random weights.

        Args:
            width: Width of a token.
            condition: Width of the condition.
            num_tokens: Number of tokens per frame.
            width_coefficient: Channels, as a multiple of EfficientNet-B0's.
            depth_coefficient: Blocks, as a multiple of EfficientNet-B0's.
            image_size: Height and width in pixels to which frames are resized.
        """
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel

        last = max(8, int(1280 * width_coefficient + 4) // 8 * 8)
        model: Any = EfficientNetModel(
            EfficientNetConfig(
                width_coefficient=width_coefficient,
                depth_coefficient=depth_coefficient,
                image_size=image_size,
                hidden_dim=last,
                drop_connect_rate=0.0,
            )
        )
        normalize_by_group(model, channels=8)
        self.stem, self.body = model.embeddings, model.encoder
        outputs = [block.projection.project_conv.out_channels for block in self.body.blocks]
        self.films = nn.ModuleList(FiLM(condition, channels) for channels in outputs)
        self.project = nn.Conv2d(last, width, kernel_size=1)
        self.last_film = FiLM(condition, width)
        self.token_learner = TokenLearner(width, num_tokens)
        self.image_size = image_size
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1), persistent=False)

    def forward(
        self, frames: UInt8[Tensor, "frames 3 _ _"], condition: Float[Tensor, "frames E"]
    ) -> Float[Tensor, "frames m D"]:
        """Compute the tokens of RGB frames, each with its own condition.

        On a CPU it computes in float32 even where the rest of a policy trains in bfloat16: depthwise convolutions are
        slower in bfloat16, and with channels last they take half of the time.
        """
        pixels = resize(frames, (self.image_size, self.image_size)).to(self.mean.dtype) / 255
        pixels = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False):
            return self._encode(pixels, condition.to(pixels.dtype))

    def _encode(
        self, pixels: Float[Tensor, "frames 3 h w"], condition: Float[Tensor, "frames E"]
    ) -> Float[Tensor, "frames m D"]:
        """Compute the tokens of normalized images."""
        features = self.stem(pixels)
        for block, film in zip(self.body.blocks, self.films, strict=True):
            features = film(block(features), condition)
        features = self.body.top_activation(self.body.top_bn(self.body.top_conv(features)))
        return self.token_learner(self.last_film(self.project(features), condition).flatten(2).mT)
