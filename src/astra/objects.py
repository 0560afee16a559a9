"""Objects seen one by one, and the pictures of objects that stand in prompts.

    put the {dragged_obj} into the {base_obj} .          the instruction: words and placeholders
             |                  |
             o_1                o_2                      its pictures: objects, each in every view

An object is a crop of 32 x 32 pixels and a box. In a state it may be hidden or gone, and is then marked invalid.

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
"""Height and width in pixels of an object's crop."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""A place for pictures in an instruction: "put the {dragged_obj} into the {base_obj}"."""

Pictures = Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
"""The pictures of one prompt in plain arrays: placeholder -> view -> `crops` uint8 (n, 32, 32, 3), `boxes` float32
(n, 4), `valid` bool (n,); n = 1 where one object is pictured, more where a scene is."""


def placeholders(instruction: str) -> tuple[str, ...]:
    """Name an instruction's placeholders in reading order, each once."""
    return tuple(dict.fromkeys(PLACEHOLDER.findall(instruction)))


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """How objects are seen, in states and in the pictures of prompts."""

    views: Mapping[str, tuple[int, int]]
    """Height and width in pixels of each view, by name, such as {"top": (128, 256), "front": (128, 256)}."""
    max_objects: int
    """O, the largest number of objects in a state; 0: states show none, prompts alone do."""
    max_pictured: int = 0
    """P, the largest number of objects pictured in one prompt; 0: prompts are words alone."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if there is no view or no object.
        """
        if not self.views or min(self.max_objects, self.max_pictured) < 0 or self.max_objects + self.max_pictured < 1:
            raise ValueError(
                f"objects need a view and room for one object at least, got the views {dict(self.views)}, "
                f"max_objects {self.max_objects} and max_pictured {self.max_pictured}"
            )


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Objects in one view: what each looks like, where it is, and whether it can be seen at all."""

    crops: UInt8[Tensor, "*B O 32 32 3"]
    """Each object cut out, RGB, 0 to 255."""
    boxes: Float[Tensor, "*B O 4"]
    """x and y of the center, height and width, in pixels of the view."""
    valid: Bool[Tensor, "*B O"]
    """False where an object is hidden or there is none; nothing else is read there."""

    def to(self, device: torch.device | str) -> "Objects":
        """Move to a device."""
        return Objects(
            crops=self.crops.to(device, non_blocking=True),
            boxes=self.boxes.to(device, non_blocking=True),
            valid=self.valid.to(device, non_blocking=True),
        )

    def __getitem__(self, index: Shaped[Tensor, "..."] | list[int] | slice) -> "Objects":
        """Pick along the first dimension."""
        return Objects(crops=self.crops[index], boxes=self.boxes[index], valid=self.valid[index])


@dataclass(frozen=True, kw_only=True)
class PromptPictures:
    """The pictures in B prompts, padded to P objects; a prompt without pictures is all padding."""

    views: Mapping[str, Objects]
    """(B, P) objects per view, in the reading order of the prompts."""
    placeholder: Int64[Tensor, "B P"]
    """Number of the placeholder, in the prompt's reading order, that an object fills; -1: padding."""

    @classmethod
    def stack(cls, instructions: Sequence[str], pictures: Sequence[Pictures]) -> "PromptPictures | None":
        """Lay the pictures of several prompts side by side; None where no prompt has any.

        Raises:
            ValueError: if a placeholder has no picture, a picture no placeholder, or views or forms differ.
        """
        for instruction, pictured in zip(instructions, pictures, strict=True):
            check_pictures(instruction, pictured)
        views = list(dict.fromkeys(view for prompt in pictures for shown in prompt.values() for view in shown))
        if not views:
            return None
        rows = [
            [prompt[name] for name in placeholders(text)] for text, prompt in zip(instructions, pictures, strict=True)
        ]
        for instruction, prompt in zip(instructions, rows, strict=True):
            for shown in prompt:
                if set(shown) != set(views):
                    raise ValueError(
                        f"the pictures of {instruction!r} show the views {', '.join(shown)}, other pictures of the "
                        f"batch show {', '.join(views)}: give every picture in every view"
                    )
        counts = [[len(shown[views[0]]["valid"]) for shown in prompt] for prompt in rows]
        most = max(map(sum, counts))
        placeholder = np.full((len(rows), most), -1)
        stacked = {view: _no_objects(len(rows), most) for view in views}
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
        """Move to a device."""
        return PromptPictures(
            views={name: view.to(device) for name, view in self.views.items()},
            placeholder=self.placeholder.to(device, non_blocking=True),
        )

    def __getitem__(self, index: Shaped[Tensor, "..."] | list[int]) -> "PromptPictures":
        """Pick prompts."""
        return PromptPictures(
            views={name: view[index] for name, view in self.views.items()}, placeholder=self.placeholder[index]
        )

    def contents(self) -> list[bytes]:
        """Give each prompt's pictures as bytes, which are equal where the pictures are."""
        parts = [self.placeholder]
        for view in self.views.values():
            parts += [view.crops, view.boxes, view.valid]
        arrays = [part.cpu().numpy() for part in parts]
        return [b"".join(array[row].tobytes() for array in arrays) for row in range(len(self.placeholder))]


def check_pictures(instruction: str, pictures: Pictures) -> None:
    """Compare the pictures of a prompt with its placeholders.

    Raises:
        ValueError: if a placeholder has no picture, a picture has no placeholder, or an array has the wrong form.
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
            f"{{{unused[0]}}}: write it where the picture belongs, or leave the picture out"
        )
    for name, shown in pictures.items():
        n = max((len(parts.get("valid", ())) for parts in shown.values()), default=0)
        form = {"crops": ((n, CROP, CROP, 3), "uint8"), "boxes": ((n, 4), "float32"), "valid": ((n,), "bool")}
        got = {view: {part: (array.shape, str(array.dtype)) for part, array in shown[view].items()} for view in shown}
        if n == 0 or any(parts != form for parts in got.values()):
            raise ValueError(
                f"the picture for {name!r} in {instruction!r} needs, in each view, crops uint8 (n, {CROP}, {CROP}, 3), "
                f"boxes float32 (n, 4) and valid bool (n,) of the same n >= 1; got {got}"
            )
        if not any(parts["valid"].any() for parts in shown.values()):
            raise ValueError(f"the picture for {name!r} in {instruction!r} shows no object: all are marked invalid")


def _no_objects(*shape: int) -> dict[str, np.ndarray]:
    return {
        "crops": np.zeros((*shape, CROP, CROP, 3), np.uint8),
        "boxes": np.zeros((*shape, 4), np.float32),
        "valid": np.zeros(shape, np.bool_),
    }
