"""Objects as tokens, one per view and object: what it looks like (its crop) and where it is (its box).

    crop 32 x 32 -> encoder -> norm -------+
                                           +--> linear layer of the view --> token
    box / size of the view -> MLP -> norm -+

A hidden object is an invalid token: its crop and box are ignored, and nothing attends to it.

Source: Jiang et al. 2023, VIMA, appendix C.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from astra.objects import Objects, ObjectSpec
from astra.storage.numbers import Frequencies, check_numbers
from astra.tokenizers.proprioception import fourier_features
from astra.tokenizers.vision.crop_encoders import CropEncoder, build_crop_encoder, distinct_rows
from astra.tokenizers.word_norm import word_norm


@dataclass(frozen=True, kw_only=True)
class ObjectConfig:
    """How an object becomes a token in each view."""

    encoder: CropEncoder = "small"
    """Network that encodes crops: `vit` as in the paper, 29,538,816 parameters, or `small` for CPUs, 108,384."""
    frequencies: Frequencies = 6
    """Fourier frequencies per number of a box, which sharpen small differences of position; 0: none, as in VIMA."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.states.objects")

    def build(self, spec: ObjectSpec, width: int, *, scaled: bool = False) -> "ObjectTokenizer":
        """Build the tokenizer of all views; with `scaled`, tokens start with the norm of words."""
        return ObjectTokenizer(self, spec, width, scaled=scaled)


class ObjectTokenizer(nn.Module):
    """Tokenizer of objects: V O tokens per timestep or prompt, all objects of the first view, then all of the next.

    Deviation: the features of crop and box are normalized before they are combined. Without the first norm, policies
    with random weights ignore what objects look like; without the second, the box has a fortieth of the variance of the
    crop and is learned late.
    """

    def __init__(self, config: ObjectConfig, spec: ObjectSpec, width: int, *, scaled: bool = False) -> None:
        """Build the encoder that all views share, and the layers of each view.

        Args:
            config: Choice of the encoder and of the box features.
            spec: Views and their sizes in pixels.
            width: Width of a token.
            scaled: Whether tokens start with the norm of words.
        """
        super().__init__()
        self.config = config
        self.sizes = dict(spec.views)
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
        self.token_norm = word_norm(width) if scaled else nn.Identity()

    @property
    def description(self) -> str:
        """Description of the encoder and its weights, for results."""
        return f"crops through {self.config.encoder}, random weights, trained"

    def forward(
        self, views: Mapping[str, Objects], max_objects: int | None = None
    ) -> tuple[Float[Tensor, "*B VO D"], Bool[Tensor, "*B VO"]]:
        """Return the tokens of all views and which of them are valid; invalid tokens are zeros.

        Args:
            views: Objects by view.
            max_objects: Number of objects to which every view is padded, so that the place of an object's token does
                not depend on how many others there are; None: no padding.

        Raises:
            ValueError: if a view is missing, or there are more than `max_objects` objects.
        """
        if missing := [name for name in self.sizes if name not in views]:
            raise ValueError(
                f"objects of the view {missing[0]!r} are missing: the policy expects {', '.join(self.sizes)}, "
                f"got {', '.join(views) or 'none'}"
            )
        shown = [views[name] for name in self.sizes]
        extra = 0 if max_objects is None else max_objects - shown[0].valid.shape[-1]
        if extra < 0:
            raise ValueError(
                f"got {shown[0].valid.shape[-1]} objects per view, but the policy was built for at most {max_objects}"
            )
        seen = [view.valid.flatten().nonzero()[:, 0] for view in shown]
        crops = [view.crops.flatten(0, -4)[rows] for view, rows in zip(shown, seen, strict=True)]
        features = self.encode(torch.cat(crops)).split([len(rows) for rows in seen])
        tokens = []
        for i, (size, view, rows) in enumerate(zip(self.sizes.values(), shown, seen, strict=True)):
            places = self.boxes[i](self._numbers(view.boxes.flatten(0, -2)[rows], size))
            token = self.token_norm(self.projections[i](torch.cat([features[i], places], dim=-1)))
            blank = token.new_zeros(view.valid.numel(), self.width)
            placed = blank.index_copy(0, rows, token).unflatten(0, view.valid.shape)
            tokens.append(F.pad(placed, (0, 0, 0, extra)))
        valid = [F.pad(view.valid, (0, extra)) for view in shown]
        return torch.cat(tokens, dim=-2), torch.cat(valid, dim=-1)

    def encode(self, crops: UInt8[Tensor, "R 32 32 3"]) -> Float[Tensor, "R F"]:
        """Encode crops; equal crops are encoded once."""
        if not len(crops):
            return self.norm.weight.new_zeros(0, self.encoder.width)
        places, index = distinct_rows(crops)
        if len(places) == len(crops):
            return self.norm(self.encoder(crops))
        return F.embedding(index, self.norm(self.encoder(crops[places])))

    def _numbers(self, boxes: Float[Tensor, "R 4"], size: tuple[int, int]) -> Float[Tensor, "R n"]:
        """Return boxes as shares of the view, from 0 to 1, and their Fourier features."""
        height, width = size
        shares = boxes.to(self.norm.weight.dtype) / torch.tensor([width, height, height, width], device=boxes.device)
        return torch.cat([shares, fourier_features(2 * shares - 1, self.config.frequencies)], dim=-1)
