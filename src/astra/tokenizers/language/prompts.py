"""One prompt from words and pictures: each placeholder is replaced by the tokens of the objects pictured there.

put the {dragged_obj} into the {base_obj} .
put the   o_1 o_1'    into the  o_2 o_2'  .        o, o': the object in the first and in the second view
"""

from collections.abc import Callable, Collection, Sequence

from jaxtyping import Float
from torch import Tensor

from astra.objects import PLACEHOLDER, PromptPictures, placeholders
from astra.tokenizers.vision.objects import ObjectTokenizer

Part = list[int] | int
"""Indices of some words, or the index of a placeholder."""


def split_prompt(instruction: str, tokenize: Callable[[str], list[int]], max_pictured: int) -> list[Part]:
    """Split an instruction into its words, as indices, and its placeholders.

    Args:
        instruction: The instruction.
        tokenize: Function from a text to the indices of its words.
        max_pictured: Number of objects that a prompt may picture; if it is 0, braces are text.
    """
    if not max_pictured:
        return [tokenize(instruction)]
    names = placeholders(instruction)
    pieces = PLACEHOLDER.split(instruction)  # text and names of placeholders in turn
    return [names.index(piece) if i % 2 else tokenize(piece) for i, piece in enumerate(pieces)]


def picture_tokens(
    pictures: PromptPictures | None, objects: ObjectTokenizer | None, max_pictured: int
) -> Float[Tensor, "R D"] | None:
    """Compute the tokens of all pictured objects of a batch, (B, V P) flattened; None if there are no pictures.

    Args:
        pictures: Pictures of the prompts; None if there are none.
        objects: Tokenizer of objects; None if the policy has none.
        max_pictured: Number of objects per prompt for which the policy was built.

    Raises:
        ValueError: if the policy was built for prompts without pictures, or for fewer of them.
    """
    if pictures is None:
        return None
    if objects is None or not max_pictured:
        raise ValueError("the prompts have pictures, but the policy was built for prompts of words only")
    most = int((pictures.placeholder >= 0).sum(1).max())
    if most > max_pictured:
        raise ValueError(
            f"a prompt pictures {most} objects, but the policy was built for at most {max_pictured}: train it on data "
            f"whose max_pictured is at least {most}"
        )
    return objects(pictures.views)[0].flatten(0, 1)


def prompt_indices(
    instructions: Sequence[str],
    parts: Sequence[Sequence[Part]],
    pictures: PromptPictures | None = None,
    views: Sequence[str] = (),
    first: int = 0,
) -> list[list[int]]:
    """Return each prompt's tokens as indices: words below `first`, then rows of `picture_tokens`.

    An object has one token for each view that shows it.

    Args:
        instructions: Prompts, for the messages.
        parts: Prompts, split.
        pictures: Pictures of the prompts; None if there are none.
        views: Names of the views, in the order of their tokens.
        first: Offset of the rows of object tokens.

    Raises:
        ValueError: if a placeholder has no picture, or a picture no placeholder.
    """
    rows = _rows(pictures, views, first) if pictures is not None else [{} for _ in instructions]
    prompts = []
    for instruction, pieces, pictured in zip(instructions, parts, rows, strict=True):
        check_placeholders(instruction, {piece for piece in pieces if isinstance(piece, int)}, pictured)
        prompts.append([n for piece in pieces for n in (piece if isinstance(piece, list) else pictured[piece])])
    return prompts


def check_placeholders(instruction: str, wanted: Collection[int], pictured: Collection[int] = ()) -> None:
    """Check that the pictured placeholders are those of an instruction.

    Args:
        instruction: The instruction.
        wanted: Its placeholders, as indices.
        pictured: Placeholders with pictures, as indices.

    Raises:
        ValueError: if a placeholder has no picture, or a picture no placeholder.
    """
    if missing := sorted(index for index in wanted if index not in pictured):
        raise ValueError(
            f"the instruction {instruction!r} has the placeholder {{{placeholders(instruction)[missing[0]]}}}, but "
            f"there is no picture for it: give its picture, or write the word without braces"
        )
    if len(pictured) > len(wanted):
        raise ValueError(
            f"got pictures for {len(pictured)} placeholders, but the instruction {instruction!r} has {len(wanted)}"
        )


def check_length(instruction: str, length: int, max_tokens: int) -> None:
    """Check that a prompt is not too long.

    Raises:
        ValueError: if the instruction has more than `max_tokens` tokens.
    """
    if length > max_tokens:
        raise ValueError(
            f"the instruction {instruction!r} has {length} tokens, but max_tokens is {max_tokens}: "
            f"shorten it, or train with --policy.language.max-tokens {length} or more"
        )


def _rows(pictures: PromptPictures, views: Sequence[str], first: int) -> list[dict[int, list[int]]]:
    """Return the rows of each prompt's object tokens, by placeholder."""
    P = pictures.placeholder.shape[1]
    V = len(views)
    valid = [pictures.views[name].valid.tolist() for name in views]
    rows = []
    for b, indices in enumerate(pictures.placeholder.tolist()):
        by_placeholder: dict[int, list[int]] = {}
        for p, index in enumerate(indices):
            if index >= 0:
                visible = [first + (b * V + v) * P + p for v in range(V) if valid[v][b][p]]
                by_placeholder.setdefault(index, []).extend(visible)
        rows.append(by_placeholder)
    return rows
