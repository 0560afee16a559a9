"""Several sentences for each instruction, in the file `sentences.json` beside the parts of a dataset.

    {"open the drawer": ["open the drawer", "pull the handle of the drawer"], ...}

In training, an episode is told one of them, chosen anew in every epoch. LeRobot ignores the file, and a change of it
leaves the cached frames as they are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from astra.storage.json_file import read_json_object

FILE_NAME = "sentences.json"
LONGEST = 10_000
"""Largest number of characters of a sentence, and of sentences of an instruction."""

Sentences = Mapping[str, tuple[str, ...]]
"""Sentences by instruction."""


def read_sentences(folder: Path, instructions: Sequence[str]) -> Sentences:
    """Read the sentences of a dataset; none if it has no such file.

    Args:
        folder: Folder of the dataset.
        instructions: Its instructions.

    Raises:
        ValueError: if the file is damaged, has an entry that is no list of sentences, or one of another instruction.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    advice = "correct it, or train with --no-sentences"
    table = read_json_object(path, "JSON", advice)
    for instruction, sentences in table.items():
        if instruction not in instructions:
            raise ValueError(
                f"{path} has sentences of {instruction[:80]!r}, which is no instruction of the dataset: {advice}"
            )
        fits = isinstance(sentences, list) and 0 < len(sentences) <= LONGEST
        if not fits or not all(isinstance(text, str) and 0 < len(text.strip()) <= LONGEST for text in sentences):
            raise ValueError(f"{path}: expected a list of sentences for {instruction[:80]!r}: {advice}")
    return {instruction: tuple(sentences) for instruction, sentences in table.items()}


def choose_sentences(instructions: Sequence[str], sentences: Sentences, seed: int, epoch: int) -> list[str]:
    """Return one sentence for the instruction of each episode; an instruction without any stays as it is.

    Args:
        instructions: Instruction of each episode.
        sentences: Sentences by instruction.
        seed: Seed of the choice.
        epoch: Number of the epoch; the choice differs from epoch to epoch.
    """
    shares = np.random.default_rng([seed, epoch]).random(len(instructions)).tolist()
    choices = [sentences.get(instruction, (instruction,)) for instruction in instructions]
    return [texts[int(share * len(texts))] for texts, share in zip(choices, shares, strict=True)]
