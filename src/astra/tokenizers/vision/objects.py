"""Objects as tokens, one per view and object: what it looks like (its crop) and where it is (its box).

    crop 32 x 32 -> encoder -> norm -------+
                                           +--> linear layer of the view --> token
    box / size of the view -> MLP -> norm -+

A hidden object is an invalid token: its crop and box are not read, and nobody may attend to it.

Source: Jiang et al. 2023, VIMA, appendix C.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from astra.objects import Objects, ObjectSpec
from astra.tokenizers.proprioception import fourier_features
from astra.tokenizers.vision.crop_encoders import CropEncoder, build_crop_encoder, distinct_rows


@dataclass(frozen=True, kw_only=True)
class ObjectConfig:
    """How an object becomes a token in each view."""

    encoder: CropEncoder = "small"
    """The network that reads crops: `vit` as in the paper, 29,538,816 parameters, or `small` for CPUs, 108,384."""
    frequencies: int = 6
    """Fourier frequencies per number of a box, which sharpen small differences of place; 0: as in VIMA, none."""

    def build(self, spec: ObjectSpec, width: int) -> "ObjectTokenizer":
        """Make the tokenizer of all views."""
        return ObjectTokenizer(self, spec, width)


class ObjectTokenizer(nn.Module):
    """V O tokens per timestep or prompt: all objects of the first view, then all of the next.

    Deviation: the features of crop and box are normalized before they meet. Without the first, policies trained from
    random weights ignore what objects look like; without the second, where they are has a fortieth of the variance of
    what they look like, and is learned late.
    """

    def __init__(self, config: ObjectConfig, spec: ObjectSpec, width: int) -> None:
        """Make the encoder that all views share, and each view's own layers.

        Args:
            config: which encoder, and how boxes are read.
            spec: the views and their sizes in pixels.
            width: width of a token.
        """
        super().__init__()
        self.config = config
        self.sizes = dict(spec.views)
        self.num_tokens = len(spec.views) * spec.max_objects
        self.width = width
        self.encoder = build_crop_encoder(config.encoder)
        features = self.encoder.width
        self.norm = nn.LayerNorm(features)
        numbers = 4 * (1 + 2 * config.frequencies)
        self.boxes = nn.ModuleList(
            nn.Sequential(
                nn.Linear(numbers, features), nn.GELU(), nn.Linear(features, features), nn.LayerNorm(features)
            )
            for _ in spec.views
        )
        self.projections = nn.ModuleList(nn.Linear(2 * features, width) for _ in spec.views)

    @property
    def description(self) -> str:
        """Name the encoder and its weights, for results."""
        return f"crops through {self.config.encoder}, random weights, trained"

    def forward(
        self, views: Mapping[str, Objects], room: int | None = None
    ) -> tuple[Float[Tensor, "*B VO D"], Bool[Tensor, "*B VO"]]:
        """Give the tokens of all views and which of them are real; the others are zeros.

        Args:
            views: objects by view.
            room: widens every view to so many objects, so that an object's place never depends on the others' number.

        Raises:
            ValueError: if a view is missing, or there are more objects than room.
        """
        if missing := [name for name in self.sizes if name not in views]:
            raise ValueError(
                f"there are no objects of the view {missing[0]!r}; the policy reads {', '.join(self.sizes)}, "
                f"the data shows {', '.join(views) or 'none'}"
            )
        shown = [views[name] for name in self.sizes]
        extra = 0 if room is None else room - shown[0].valid.shape[-1]
        if extra < 0:
            raise ValueError(f"got {shown[0].valid.shape[-1]} objects per view, but the policy has room for {room}")
        seen = [view.valid.flatten().nonzero()[:, 0] for view in shown]
        crops = [view.crops.flatten(0, -4)[rows] for view, rows in zip(shown, seen, strict=True)]
        features = self.encode(torch.cat(crops)).split([len(rows) for rows in seen])
        tokens = []
        for i, (size, view, rows) in enumerate(zip(self.sizes.values(), shown, seen, strict=True)):
            places = self.boxes[i](self._numbers(view.boxes.flatten(0, -2)[rows], size))
            token = self.projections[i](torch.cat([features[i], places], dim=-1))
            blank = token.new_zeros(view.valid.numel(), self.width)
            placed = blank.index_copy(0, rows, token).unflatten(0, view.valid.shape)
            tokens.append(F.pad(placed, (0, 0, 0, extra)))
        valid = [F.pad(view.valid, (0, extra)) for view in shown]
        return torch.cat(tokens, dim=-2), torch.cat(valid, dim=-1)

    def encode(self, crops: UInt8[Tensor, "R 32 32 3"]) -> Float[Tensor, "R F"]:
        """Encode crops, equal ones once."""
        if not len(crops):
            return self.norm.weight.new_zeros(0, self.encoder.width)
        places, of = distinct_rows(crops)
        if len(places) == len(crops):
            return self.norm(self.encoder(crops))
        return F.embedding(of, self.norm(self.encoder(crops[places])))

    def _numbers(self, boxes: Float[Tensor, "R 4"], size: tuple[int, int]) -> Float[Tensor, "R n"]:
        """Give boxes as shares of the view, from 0 to 1, and their Fourier features."""
        height, width = size
        shares = boxes.to(self.norm.weight.dtype) / torch.tensor([width, height, height, width], device=boxes.device)
        return torch.cat([shares, fourier_features(2 * shares - 1, self.config.frequencies)], dim=-1)
