"""Object-centric observations, and the pictures of objects in prompts.

    put the {dragged_obj} into the {base_obj} .          instruction: words and placeholders
             |                  |
             o_1                o_2                      pictures: objects, each in every view

An object is a crop of 32 x 32 pixels and a bounding box. An object that is hidden or absent is marked invalid. Braces
mark pictures only where prompts have pictures; anywhere else they are text, as in "pick the {red} block".

Source: section 4.3 of the paper; Jiang et al. 2023, VIMA.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped, UInt8
from torch import Tensor

CROP = 32
"""Height and width of an object's crop, in pixels."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""Placeholder for pictures in an instruction, as in "put the {dragged_obj} into the {base_obj}"."""

Pictures = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""Pictures of one prompt in plain arrays: placeholder -> view -> `crops` uint8 (n, 32, 32, 3), `boxes` float32 (n, 4),
`valid` bool (n,). n is 1 for a single object and more for a scene."""


def placeholders(instruction: str) -> tuple[str, ...]:
    """Return the names of an instruction's placeholders in reading order, without repetition."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(instruction)))


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """Views and limits of the objects in states and in the pictures of prompts."""

    views: Mapping[str, tuple[int, int]]
    """Height and width of each view in pixels, by name, such as {"top": (128, 256), "front": (128, 256)}."""
    max_objects: int
    """O, the largest number of objects in a state; 0 if only prompts show objects."""
    max_pictured: int = 0
    """P, the largest number of objects pictured in one prompt; 0 if prompts are text only."""

    def __post_init__(self) -> None:
        """Check that there are views and objects.

        Raises:
            ValueError: if there is no view, or no object in states or prompts.
        """
        if not self.views or min(self.max_objects, self.max_pictured) < 0 or self.max_objects + self.max_pictured < 1:
            raise ValueError(
                f"objects need a view and room for one object in states or prompts, got "
                f"views={dict(self.views)}, max_objects={self.max_objects}, max_pictured={self.max_pictured}"
            )


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Objects in one view: their appearance, position and visibility."""

    crops: UInt8[Tensor, "*B O 32 32 3"]
    """Crop of each object, RGB, 0 to 255."""
    boxes: Float[Tensor, "*B O 4"]
    """Bounding boxes: x and y of the center, height and width, in pixels of the view."""
    valid: Bool[Tensor, "*B O"]
    """Whether each object is visible. Crops and boxes of invalid objects are ignored."""

    def to(self, device: torch.device | str) -> "Objects":
        """Copy the objects to a device."""
        return Objects(
            crops=self.crops.to(device, non_blocking=True),
            boxes=self.boxes.to(device, non_blocking=True),
            valid=self.valid.to(device, non_blocking=True),
        )

    def __getitem__(self, index: Shaped[Tensor, "..."] | list[int] | slice) -> "Objects":
        """Select along the first dimension."""
        return Objects(crops=self.crops[index], boxes=self.boxes[index], valid=self.valid[index])


@dataclass(frozen=True, kw_only=True)
class PromptPictures:
    """Pictures of B prompts, padded to P objects. A prompt without pictures is all padding."""

    views: Mapping[str, Objects]
    """Objects by view, (B, P), in the reading order of the prompts."""
    placeholder: Int64[Tensor, "B P"]
    """Index of the placeholder that each object belongs to, in reading order; -1 marks padding."""

    @classmethod
    def stack(cls, instructions: Sequence[str], pictures: Sequence[Pictures]) -> "PromptPictures | None":
        """Stack the pictures of several prompts into one batch; None if no prompt has pictures.

        Raises:
            ValueError: if a placeholder has no picture, a picture has no placeholder, or views or array shapes differ.
        """
        if not any(pictures):
            return None  # braces in the instructions are text
        for instruction, pictured in zip(instructions, pictures, strict=True):
            check_pictures(instruction, pictured)
        views = list(dict.fromkeys(view for prompt in pictures for shown in prompt.values() for view in shown))
        rows = [
            [prompt[name] for name in placeholders(text)] for text, prompt in zip(instructions, pictures, strict=True)
        ]
        for instruction, prompt in zip(instructions, rows, strict=True):
            for shown in prompt:
                if set(shown) != set(views):
                    raise ValueError(
                        f"a picture of {instruction!r} has the views {', '.join(shown)}, but other pictures of the "
                        f"batch have {', '.join(views)}: give every picture in every view"
                    )
        counts = [[len(shown[views[0]]["valid"]) for shown in prompt] for prompt in rows]
        most = max(map(sum, counts))
        placeholder = np.full((len(rows), most), -1)
        stacked = {view: _empty_objects(len(rows), most) for view in views}
        for row, (prompt, sizes) in enumerate(zip(rows, counts, strict=True)):
            placeholder[row, : sum(sizes)] = np.repeat(np.arange(len(sizes)), sizes)
            for view, parts in stacked.items():
                for name, array in parts.items():
                    if prompt:
                        array[row, : sum(sizes)] = np.concatenate([shown[view][name] for shown in prompt])
        return cls(
            views={
                view: Objects(**{name: torch.from_numpy(array) for name, array in parts.items()})
                for view, parts in stacked.items()
            },
            placeholder=torch.from_numpy(placeholder),
        )

    def to(self, device: torch.device | str) -> "PromptPictures":
        """Copy the pictures to a device."""
        return PromptPictures(
            views={name: view.to(device) for name, view in self.views.items()},
            placeholder=self.placeholder.to(device, non_blocking=True),
        )

    def __getitem__(self, index: Shaped[Tensor, "..."] | list[int]) -> "PromptPictures":
        """Select prompts."""
        return PromptPictures(
            views={name: view[index] for name, view in self.views.items()}, placeholder=self.placeholder[index]
        )

    def contents(self) -> list[bytes]:
        """Return each prompt's pictures as bytes, to find equal prompts."""
        parts = [self.placeholder]
        for view in self.views.values():
            parts += [view.crops, view.boxes, view.valid]
        arrays = [part.cpu().numpy() for part in parts]
        return [b"".join(array[row].tobytes() for array in arrays) for row in range(len(self.placeholder))]


def check_pictures(instruction: str, pictures: Pictures) -> None:
    """Check that the pictures of a prompt match its placeholders.

    Raises:
        ValueError: if a placeholder has no picture, a picture has no placeholder, or an array has the wrong shape or
            type.
    """
    wanted = placeholders(instruction)
    if missing := [name for name in wanted if name not in pictures]:
        raise ValueError(
            f"the instruction {instruction!r} has the placeholder {{{missing[0]}}}, but there is no picture for it; "
            f"there are pictures for: {', '.join(pictures) or 'none'}"
        )
    if unused := [name for name in pictures if name not in wanted]:
        raise ValueError(
            f"there is a picture for {unused[0]!r}, but the instruction {instruction!r} has no placeholder "
            f"{{{unused[0]}}}: add the placeholder or remove the picture"
        )
    for name, shown in pictures.items():
        n = max((len(parts.get("valid", ())) for parts in shown.values()), default=0)
        form = {"crops": ((n, CROP, CROP, 3), "uint8"), "boxes": ((n, 4), "float32"), "valid": ((n,), "bool")}
        got = {view: {part: (array.shape, str(array.dtype)) for part, array in shown[view].items()} for view in shown}
        if n == 0 or any(parts != form for parts in got.values()):
            raise ValueError(
                f"the picture for {name!r} in {instruction!r} needs, in each view, crops uint8 (n, {CROP}, {CROP}, 3), "
                f"boxes float32 (n, 4) and valid bool (n,) with the same n >= 1; got {got}"
            )
        if not any(parts["valid"].any() for parts in shown.values()):
            raise ValueError(f"the picture for {name!r} in {instruction!r} shows no object: all are marked invalid")


def _empty_objects(*shape: int) -> dict[str, np.ndarray]:
    return {
        "crops": np.zeros((*shape, CROP, CROP, 3), np.uint8),
        "boxes": np.zeros((*shape, 4), np.float32),
        "valid": np.zeros(shape, np.bool_),
    }
