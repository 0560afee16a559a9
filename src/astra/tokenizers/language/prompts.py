"""One prompt out of words and pictures: at each placeholder stand the tokens of the objects pictured there.

put the {dragged_obj} into the {base_obj} .
put the   o_1 o_1'    into the  o_2 o_2'  .        o, o': the object in the first and in the second view
"""

from collections.abc import Callable, Sequence

from astra.objects import PLACEHOLDER, PromptPictures, placeholders

Part = list[int] | int
"""Numbers of some words, or the number of a placeholder."""


def cut(instruction: str, tokenize: Callable[[str], list[int]]) -> list[Part]:
    """Cut an instruction into its words, as numbers, and its placeholders."""
    names = placeholders(instruction)
    pieces = PLACEHOLDER.split(instruction)  # text and names of placeholders in turn
    return [names.index(piece) if i % 2 else tokenize(piece) for i, piece in enumerate(pieces)]


def fill(
    instructions: Sequence[str],
    parts: Sequence[Sequence[Part]],
    pictures: PromptPictures | None = None,
    views: Sequence[str] = (),
    first: int = 0,
) -> list[list[int]]:
    """Give each prompt's tokens as numbers: words below `first`, and from there on rows of object tokens.

    The rows are those of (B, V P) tokens laid end to end. An object stands there once for each view that shows it.

    Args:
        instructions: the prompts, for messages.
        parts: the prompts, cut.
        pictures: their pictures; None: there are none.
        views: the views, in the order of their tokens.
        first: added to the rows of object tokens.

    Raises:
        ValueError: if a placeholder has no picture, or a picture no placeholder.
    """
    rows = _rows(pictures, views, first) if pictures is not None else [{} for _ in instructions]
    prompts = []
    for instruction, pieces, pictured in zip(instructions, parts, rows, strict=True):
        names = placeholders(instruction)
        if missing := [name for number, name in enumerate(names) if number not in pictured]:
            raise ValueError(
                f"the instruction {instruction!r} has the placeholder {{{missing[0]}}}, but there is no picture for it"
            )
        if len(pictured) > len(names):
            raise ValueError(
                f"there are pictures for {len(pictured)} placeholders, but the instruction {instruction!r} has "
                f"{len(names)}"
            )
        prompts.append([n for piece in pieces for n in (piece if isinstance(piece, list) else pictured[piece])])
    return prompts


def _rows(pictures: PromptPictures, views: Sequence[str], first: int) -> list[dict[int, list[int]]]:
    """Number the object tokens of every prompt, by placeholder."""
    P = pictures.placeholder.shape[1]
    V = len(views)
    valid = [pictures.views[name].valid.tolist() for name in views]
    numbered = []
    for b, numbers in enumerate(pictures.placeholder.tolist()):
        by_placeholder: dict[int, list[int]] = {}
        for p, number in enumerate(numbers):
            if number >= 0:
                seen = [first + (b * V + v) * P + p for v in range(V) if valid[v][b][p]]
                by_placeholder.setdefault(number, []).extend(seen)
        numbered.append(by_placeholder)
    return numbered
