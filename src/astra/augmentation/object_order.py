"""Objects listed in an order drawn anew, so that a place in the list tells nothing.

Benchmarks number objects by their role: VIMA-Bench begins with the place where something is to be put. A policy that
was trained on such a list reads the answer in it.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from astra.objects import Objects
from astra.trajectory import Trajectory


def with_objects_in_any_order(trajectory: Trajectory) -> Trajectory:
    """Give the trajectory with its objects in an order of chance, the same in all views and at all timesteps.

    Places after the last object that is ever seen stay where they are. Objects pictured in a prompt change places with
    those of the same placeholder only, as a scene's do.
    """
    objects = trajectory.objects
    if objects:
        ever = torch.stack([view.valid.any(1) for view in objects.values()]).any(0)  # (B, O)
        padding = ever.flip(-1).cumsum(-1).flip(-1) == 0
        objects = _listed(objects, _order(padding.long()))
    pictures = trajectory.pictures
    if pictures is not None:
        number = pictures.placeholder
        groups = torch.where(number < 0, number.max() + 1, number)
        pictures = replace(pictures, views=_listed(pictures.views, _order(groups)))
    return replace(trajectory, objects=objects, pictures=pictures)


def _order(groups: Int64[Tensor, "B O"]) -> Int64[Tensor, "B O"]:
    """Draw an order in which groups, which ascend, stay where they are."""
    return (groups + torch.rand(groups.shape, dtype=torch.float64, device=groups.device)).argsort(-1)


def _listed(views: Mapping[str, Objects], order: Int64[Tensor, "B O"]) -> dict[str, Objects]:
    """List objects, (B, O) or (B, T, O), in one order for each of the B."""
    listed = {}
    for name, view in views.items():
        places = torch.arange(view.valid.numel(), device=order.device).view_as(view.valid)
        rows = places.take_along_dim(order if places.ndim == 2 else order[:, None], dim=-1)
        listed[name] = Objects(
            crops=view.crops.flatten(0, -4)[rows],
            boxes=view.boxes.flatten(0, -2)[rows],
            valid=view.valid.flatten()[rows],
        )
    return listed
