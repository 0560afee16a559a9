"""Camera frames as tokens, one per camera."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from astra.tokenizers.image_encoders import EncoderSize, ImageEncoder, MAEEncoder, ResNetEncoder, ViTEncoder
from astra.tokenizers.pretrained import Frozen
from astra.trajectory import Statistics, TrajectorySpec

FEATURES = 1
"""Raised whenever the same frames and weights give other features, so that none from before is read."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a camera's frame becomes one token."""

    encoder: ImageEncoder = "resnet"
    """The network. Source: 4.3 (ViT), 4.4 (ResNet), 4.5 (MAE-ViT)."""
    size: EncoderSize = "tiny"
    """Size of a network with random weights; pretrained weights bring their own."""
    image_size: int = 96
    """Height and width in pixels to which frames are resized; 224 for most pretrained weights."""
    pretrained: str | None = None
    """Folder or Hugging Face name of pretrained weights; None: random weights."""
    frozen: bool = False
    """Keep the pretrained weights as they are, instead of training them with the policy."""

    def __post_init__(self) -> None:
        """Check that only pretrained weights are frozen.

        Raises:
            ValueError: if random weights were to be frozen.
        """
        if self.frozen and self.pretrained is None:
            raise ValueError(
                f"images.frozen=True would freeze a {self.encoder} of random weights: give images.pretrained, a folder "
                f"or a Hugging Face name, or train the encoder with images.frozen=False"
            )

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "ImageTokenizer":
        """Make the tokenizer of all cameras of the spec; the statistics are not read.

        Raises:
            FileNotFoundError: if there is no such pretrained model.
            ValueError: if the pretrained model is another network, or made for another image size.
        """
        return ImageTokenizer(self, tuple(spec.images), width)


class ImageTokenizer(nn.Module):
    """One token per camera: an encoder that all cameras share, then a linear layer for each camera."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ImageConfig, cameras: tuple[str, ...], width: int) -> None:
        """Make or load the encoder.

        Args:
            config: which encoder.
            cameras: names of the cameras, in the order of their tokens.
            width: width of a token.
        """
        super().__init__()
        self.config = config
        self.cameras = cameras
        self.num_tokens = len(cameras)
        match config.encoder:
            case "resnet":
                encoder = ResNetEncoder(config.size, config.pretrained)
            case "vit":
                encoder = ViTEncoder(config.size, config.pretrained, config.image_size)
            case "mae":
                encoder = MAEEncoder(config.size, config.pretrained, config.image_size)
        self.encoder = Frozen(encoder) if config.frozen else encoder
        self.projections = nn.ModuleList(nn.Linear(encoder.width, width) for _ in cameras)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1), persistent=False)

    @property
    def description(self) -> str:
        """Name the encoder and its weights, for results."""
        if self.config.pretrained is None:
            return f"{self.config.encoder} ({self.config.size}), random weights, trained"
        training = "frozen" if self.config.frozen else "trained"
        return f"{self.config.encoder}, weights of {self.config.pretrained}, {training}"

    def forward(self, images: Mapping[str, UInt8[Tensor, "..."]]) -> Float[Tensor, "*batch V D"]:
        """Give one token per camera from RGB frames of shape (*batch, 3, height, width)."""
        frames = [images[camera] for camera in self.cameras]
        batch = frames[0].shape[:-3]
        features = self.features(*(frame.flatten(0, -4) for frame in frames)).chunk(len(frames))
        return self.project(
            {camera: feature.unflatten(0, batch) for camera, feature in zip(self.cameras, features, strict=True)}
        )

    def features(self, *frames: UInt8[Tensor, "frames 3 _ _"]) -> Float[Tensor, "all_frames F"]:
        """Encode RGB frames, those of one camera after those of the other."""
        pixels = torch.cat([self.pixels(frame) for frame in frames])
        if isinstance(self.encoder, Frozen):
            return self.encoder(pixels.float(), device=pixels.device).to(pixels.dtype)
        return self.encoder(pixels)

    def project(self, features: Mapping[str, Float[Tensor, "*batch F"]]) -> Float[Tensor, "*batch V D"]:
        """Give one token per camera from what the encoder made of its frames."""
        by_camera = zip(self.projections, self.cameras, strict=True)
        tokens = [projection(features[camera].to(self.mean.dtype)) for projection, camera in by_camera]
        return torch.stack(tokens, dim=-2)

    @property
    def fingerprint(self) -> str:
        """Name what decides the features: the encoder, its weights, and the size of its pictures."""
        network = self.encoder.encoder if isinstance(self.encoder, Frozen) else self.encoder
        digest = hashlib.sha256(repr((FEATURES, self.config.encoder, self.config.image_size)).encode())
        for name, weight in network.state_dict().items():
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def pixels(self, frames: UInt8[Tensor, "frames 3 _ _"]) -> Float[Tensor, "frames 3 _ _"]:
        """Give the frames as the encoder reads them: resized, with the mean and deviation of ImageNet's colours."""
        size = (self.config.image_size, self.config.image_size)
        pixels = frames.to(self.mean.dtype) / 255
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        return (pixels - self.mean) / self.std
