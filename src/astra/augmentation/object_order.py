"""Random order of objects, so that an object's place in the list carries no information.

Benchmarks order objects by their role: VIMA-Bench begins with the place where something is to be put. A policy trained
on such a list can read the answer from it.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from astra.objects import Objects
from astra.trajectory import Trajectory


def shuffle_objects(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory with its objects in a random order, the same in all views and at all timesteps.

    Padding after the last visible object stays in place. Objects pictured in a prompt are shuffled only among those of
    the same placeholder, such as the objects of a scene.
    """
    objects = trajectory.objects
    if objects:
        ever = torch.stack([view.valid.any(1) for view in objects.values()]).any(0)  # (B, O)
        padding = ever.flip(-1).cumsum(-1).flip(-1) == 0
        objects = _reorder(objects, _order(padding.long()))
    pictures = trajectory.pictures
    if pictures is not None:
        number = pictures.placeholder
        groups = torch.where(number < 0, number.max() + 1, number)
        pictures = replace(pictures, views=_reorder(pictures.views, _order(groups)))
    return replace(trajectory, objects=objects, pictures=pictures)


def _order(groups: Int64[Tensor, "B O"]) -> Int64[Tensor, "B O"]:
    """Draw an order that keeps the sequence of groups, which ascend."""
    return (groups + torch.rand(groups.shape, dtype=torch.float64, device=groups.device)).argsort(-1)


def _reorder(views: Mapping[str, Objects], order: Int64[Tensor, "B O"]) -> dict[str, Objects]:
    """Reorder objects, (B, O) or (B, T, O), by one order for each of the B."""
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
