"""Camera frames as tokens: one per camera, or one per patch of each camera."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from astra.attention.layers import cat
from astra.frames import resize
from astra.storage.numbers import Pixels, check_numbers
from astra.tokenizers.vision.encoders import (
    EncoderSize,
    ImageEncoder,
    MAEEncoder,
    ResNetEncoder,
    ViTEncoder,
    height_width,
)
from astra.tokenizers.vision.pretrained import Frozen
from astra.tokenizers.vision.small import SmallImageEncoder
from astra.trajectory import Statistics, TrajectorySpec

FEATURES = 3
"""Version of the cached features, raised whenever equal frames and weights give other features."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a camera frame becomes one token, or one per patch."""

    encoder: ImageEncoder = "resnet"
    """Network that encodes frames; small is ours, for CPUs. Source: sections 4.3 (ViT), 4.4 (ResNet), 4.5 (MAE-ViT)."""
    tokens: Literal["camera", "patches"] = "camera"
    """One token per camera, or one per patch, row by row (not with a resnet)."""
    size: EncoderSize = "tiny"
    """Size of a resnet, vit or mae with random weights; ignored for pretrained weights."""
    image_size: Pixels | tuple[Pixels, Pixels] = 96
    """Size in pixels to which frames are resized: a side, or height and width; 224 for most pretrained weights."""
    patch_size: Pixels = 16
    """Side in pixels of a patch of a vit, mae or small with random weights; ignored for pretrained weights."""
    pretrained: str | None = None
    """Folder or Hugging Face name of pretrained weights; None: random weights."""
    frozen: bool = False
    """Keep the pretrained weights as they are, instead of training them with the policy."""

    def __post_init__(self) -> None:
        """Check that the options are compatible.

        Raises:
            ValueError: if a size is not positive, random weights were to be frozen, the encoder has no patches, the
                image is not a multiple of them, or the small encoder were to be pretrained.
        """
        check_numbers(self, "policy.states.images")
        if self.tokens == "patches" and self.encoder == "resnet":
            raise ValueError("a resnet has no patches: images.tokens=patches needs images.encoder vit, mae or small")
        if self.encoder == "small" and self.pretrained is not None:
            raise ValueError(f"the small encoder has no pretrained weights, got images.pretrained={self.pretrained!r}")
        sides = height_width(self.image_size)
        if self.encoder != "resnet" and self.pretrained is None and any(side % self.patch_size for side in sides):
            raise ValueError(
                f"images.image_size={self.image_size} is not a multiple of images.patch_size={self.patch_size} pixels"
            )
        if self.frozen and self.pretrained is None:
            raise ValueError(
                f"images.frozen=True would freeze a {self.encoder} with random weights: set images.pretrained to a "
                f"folder or a Hugging Face name, or train the encoder with images.frozen=False"
            )

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> "ImageTokenizer":
        """Build the tokenizer of all cameras of the spec; the statistics are not used.

        Raises:
            FileNotFoundError: if the pretrained model does not exist.
            ValueError: if the pretrained model is another network, or made for another image size.
        """
        return ImageTokenizer(self, tuple(spec.images), width)


class ImageTokenizer(nn.Module):
    """Tokenizer of camera frames: an encoder that all cameras share, then one linear layer per camera."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ImageConfig, cameras: tuple[str, ...], width: int) -> None:
        """Build or load the encoder.

        Args:
            config: Choice of the encoder.
            cameras: Names of the cameras, in the order of their tokens.
            width: Width of a token.
        """
        super().__init__()
        self.config = config
        self.cameras = cameras
        patches = config.tokens == "patches"
        made = config.size, config.pretrained, config.image_size, config.patch_size
        match config.encoder:
            case "resnet":
                encoder = ResNetEncoder(config.size, config.pretrained)
            case "vit":
                encoder = ViTEncoder(*made, patches=patches)
            case "mae":
                encoder = MAEEncoder(*made, patches=patches)
            case "small":
                size, colors = height_width(config.image_size), (IMAGENET_MEAN, IMAGENET_STD)
                encoder = SmallImageEncoder(size, config.patch_size, *colors, patches=patches)
        self.tokens_per_camera = 1 if isinstance(encoder, ResNetEncoder) or not patches else encoder.num_patches
        self.num_tokens = self.tokens_per_camera * len(cameras)
        self.encoder = Frozen(encoder) if config.frozen else encoder
        self.projections = nn.ModuleList(nn.Linear(encoder.width, width) for _ in cameras)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1), persistent=False)

    @property
    def description(self) -> str:
        """Description of the encoder and its weights, for results."""
        patches = "" if self.config.tokens == "camera" else f", {self.tokens_per_camera} patches per camera"
        if self.config.pretrained is None:
            size = "" if self.config.encoder == "small" else f" ({self.config.size})"
            return f"{self.config.encoder}{size}{patches}, random weights, trained"
        training = "frozen" if self.config.frozen else "trained"
        return f"{self.config.encoder}{patches}, weights of {self.config.pretrained}, {training}"

    def forward(self, images: Mapping[str, UInt8[Tensor, "..."]]) -> Float[Tensor, "*batch VP D"]:
        """Return the tokens of the first camera, then those of the next, from RGB frames (*batch, 3, height, width)."""
        frames = [images[camera] for camera in self.cameras]
        batch = frames[0].shape[:-3]
        features = self.features(*(frame.flatten(0, -4) for frame in frames)).chunk(len(frames))
        return self.project(
            {camera: feature.unflatten(0, batch) for camera, feature in zip(self.cameras, features, strict=True)}
        )

    def features(self, *frames: UInt8[Tensor, "frames 3 _ _"]) -> Float[Tensor, "all_frames F"]:
        """Encode RGB frames, one camera after the other; vectors of a frame's patches are concatenated."""
        pixels = cat([self.pixels(frame) for frame in frames], 0)
        if isinstance(self.encoder, Frozen):
            return self.encoder(pixels.float(), device=pixels.device).to(self.mean.dtype)
        return self.encoder(pixels)

    def project(self, features: Mapping[str, Float[Tensor, "*batch F"]]) -> Float[Tensor, "*batch VP D"]:
        """Project the encoder's features of each camera to tokens."""
        tokens = [
            projection(features[camera].to(self.mean.dtype).unflatten(-1, (self.tokens_per_camera, -1)))
            for projection, camera in zip(self.projections, self.cameras, strict=True)
        ]
        return torch.cat(tokens, dim=-2)

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the features: the encoder, its weights, the image size and the kind of output."""
        network = self.encoder.encoder if isinstance(self.encoder, Frozen) else self.encoder
        size = height_width(self.config.image_size)
        digest = hashlib.sha256(repr((FEATURES, self.config.encoder, size, self.config.tokens)).encode())
        for name, weight in network.state_dict().items():
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def pixels(self, frames: UInt8[Tensor, "frames 3 _ _"]) -> Shaped[Tensor, "frames 3 _ _"]:
        """Return the frames as the encoder expects them: resized and normalized by the colors of ImageNet.

        The small encoder normalizes its input itself.
        """
        frames = resize(frames, height_width(self.config.image_size))
        if self.config.encoder == "small":
            return frames
        return (frames.to(self.mean.dtype) / 255 - self.mean) / self.std
