"""Augmentation of frames and crops by random shifts and changes of brightness and contrast.

A shifted crop is cut out slightly beside its object, so its box moves with it. Pictures in prompts change only if
requested.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from astra.objects import Objects
from astra.storage.numbers import Share, check_numbers
from astra.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Strength of the augmentation. Deviation: the paper says only "such as random cropping"."""

    shift: Share = 0.0625
    """Maximum shift as a share of the picture's side: 2 pixels of a crop. The border is filled by repeating the
    edge."""
    brightness: Share = 0.1
    """Maximum change of all colors, as a share of their range."""
    contrast: Share = 0.1
    """Maximum change of contrast, the distance of colors from middle gray, as a share of it."""
    same_at_all_timesteps: bool = True
    """Whether all timesteps of a camera or an object change alike, so that motion is preserved."""
    prompts: bool = False
    """Whether the pictures in prompts change too, independently for each prompt: a policy can otherwise memorize a few
    demonstrations by their prompt's pictures. Not with contrastive dynamics learning, which keeps prompts."""

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            ValueError: if one is not at least 0 and below 1.
        """
        check_numbers(self, "training.augmentation")


def augment(
    trajectory: Trajectory, config: AugmentationConfig, *, after: int = 0, together: bool = False
) -> Trajectory:
    """Return the trajectories as a slightly shifted camera in slightly different light would have seen them.

    Args:
        trajectory: Batch whose frames and objects change; vectors and actions stay.
        config: Strength of the augmentation.
        after: Number of trajectories at the start of the batch that stay unchanged; 0 if prompts change.
        together: Whether the other trajectories share one camera shift and one light, so that a state moved between two
            of them cannot be recognized by its look; each object still has its own shift.

    Raises:
        ValueError: if the batch has features of a frozen encoder instead of frames.
    """
    if trajectory.features:
        raise ValueError(
            f"the frames of {', '.join(trajectory.features)} are features of a frozen encoder, which cannot be "
            f"augmented: train the encoder (images.frozen=False), or use no augmentation (augmentation=None)"
        )
    (B, T), device = trajectory.valid[after:].shape, trajectory.valid.device
    timesteps = 1 if config.same_at_all_timesteps else T

    def draw(*shape: int, rows: int = 1 if together else B) -> Float[Tensor, "..."]:
        """Draw between -1 and 1, one value for all timesteps or one for each."""
        return _uniform(rows, timesteps, *shape, device=device).expand(B, T, *shape)

    images = {}
    for camera, frames in trajectory.images.items():
        changed, _ = _augment_pictures(frames[after:].permute(0, 1, 3, 4, 2), draw(2), draw(2), config)
        images[camera] = torch.cat([frames[:after], changed.permute(0, 1, 4, 2, 3)])
    objects = {}
    for view, every in trajectory.objects.items():
        shown, count = every[after:], every.valid.shape[2]
        light = draw(1, 2).expand(B, T, count, 2)  # one light per view; each object has its own shift
        changed = _augment_objects(shown, draw(count, 2, rows=B), light, config)
        objects[view] = Objects(
            crops=torch.cat([every.crops[:after], changed.crops]),
            boxes=torch.cat([every.boxes[:after], changed.boxes]),
            valid=every.valid,
        )
    pictures = trajectory.pictures
    if config.prompts and pictures is not None:
        views = {}
        for view, shown in pictures.views.items():
            light = _uniform(B, 1, 2, device=device)
            place = _uniform(*shown.valid.shape, 2, device=device)
            views[view] = _augment_objects(shown, place, light.expand_as(place), config)
        pictures = replace(pictures, views=views)
    return replace(trajectory, images=images, objects=objects, pictures=pictures)


def _uniform(*shape: int, device: torch.device) -> Float[Tensor, "..."]:
    """Draw uniformly between -1 and 1."""
    return 2 * torch.rand(*shape, device=device) - 1


def _augment_objects(
    shown: Objects, place: Float[Tensor, "*R 2"], light: Float[Tensor, "*R 2"], config: AugmentationConfig
) -> Objects:
    """Return objects with shifted crops in other light; their boxes move with the crops."""
    crops, moved = _augment_pictures(shown.crops, place, light, config)
    pixel = shown.boxes[..., 2:].amax(-1, keepdim=True) / crops.shape[-2]  # of the crop, in pixels of the view
    boxes = torch.cat([shown.boxes[..., :2] + pixel * moved.flip(-1), shown.boxes[..., 2:]], dim=-1)
    return Objects(crops=crops, boxes=boxes, valid=shown.valid)


def _augment_pictures(
    pictures: UInt8[Tensor, "*R h w 3"],
    place: Float[Tensor, "*R 2"],
    light: Float[Tensor, "*R 2"],
    config: AugmentationConfig,
) -> tuple[UInt8[Tensor, "*R h w 3"], Int64[Tensor, "*R 2"]]:
    """Return shifted pictures in other light, and the pixels (down, right) by which they were shifted."""
    height, width = pictures.shape[-3:-1]
    down, right = ((place * config.shift * place.new_tensor([height, width])).round().long()).unbind(-1)
    y = (torch.arange(height, device=place.device) + down[..., None]).clamp(0, height - 1).flatten(0, -2)
    x = (torch.arange(width, device=place.device) + right[..., None]).clamp(0, width - 1).flatten(0, -2)
    flat = pictures.flatten(0, -4)
    numbers = torch.arange(len(flat), device=place.device)
    cut = flat[numbers[:, None, None], y[:, :, None], x[:, None, :]].view(pictures.shape)
    factor = 1 + config.contrast * light[..., 0]
    offset = 127.5 * (1 - factor) + 255 * config.brightness * light[..., 1]
    colors = (cut * factor[..., None, None, None]).add_(offset[..., None, None, None])
    return colors.round_().clamp_(0, 255).to(torch.uint8), torch.stack([down, right], dim=-1)
