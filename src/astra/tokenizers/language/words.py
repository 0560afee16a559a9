"""Prompts as words and pictures, with a vocabulary made from the dataset's instructions and a learned embedding."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.objects import PLACEHOLDER, ObjectSpec, PromptPictures
from astra.tokenizers.language.prompts import Part, check_length, picture_tokens, prompt_indices, split_prompt
from astra.tokenizers.vision.objects import ObjectTokenizer

PADDING, UNKNOWN = "[PAD]", "[UNK]"


def build_vocabulary(instructions: Sequence[str], max_pictured: int = 0) -> Tokenizer:
    """Build a word-level tokenizer whose vocabulary depends only on the set of instructions.

    Words are lower-cased and split at spaces and punctuation. Each digit is a token of its own, so that a number
    missing from the instructions is still read digit by digit.

    Args:
        instructions: Instructions of the dataset.
        max_pictured: Number of objects that a prompt may picture; unless it is 0, placeholders are not words.
    """
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    texts = (PLACEHOLDER.sub(" ", text) for text in instructions) if max_pictured else instructions
    normalized = map(tokenizer.normalizer.normalize_str, texts)
    words = {word for text in normalized for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    vocabulary = {word: index for index, word in enumerate([PADDING, UNKNOWN, *sorted(words)])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer


class WordTokenizer(nn.Module):
    """Prompt tokens from a learned embedding of each word, trained with the policy, and from pictured objects.

    All words missing from the vocabulary share one embedding. If all training instructions are in the vocabulary, it is
    trained only with a word dropout, which puts it in the place of some words.
    """

    def __init__(
        self,
        instructions: Sequence[str],
        width: int,
        max_tokens: int,
        objects: ObjectSpec | None = None,
        word_dropout: float = 0.0,
    ) -> None:
        """Build the vocabulary and its embedding.

        Args:
            instructions: Instructions of the dataset.
            width: Width of a token.
            max_tokens: Maximum number of words in a prompt.
            objects: Objects that prompts may picture; None: prompts have no pictures.
            word_dropout: Share of words that are unknown in training.
        """
        super().__init__()
        self.word_dropout = word_dropout
        self.max_pictured = objects.max_pictured if objects else 0
        self.tokenizer = build_vocabulary(instructions, self.max_pictured)
        self.max_words = max_tokens
        self.max_tokens = max_tokens + self.max_pictured * len(objects.views if objects else ())
        self.embedding = nn.Embedding(self.tokenizer.get_vocab_size(), width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=init_std(width))
        with torch.no_grad():
            self.embedding.weight[0].zero_()
        # Distinguishes an object of the prompt from the same object in a state.
        self.picture = nn.Parameter(torch.randn(width) * init_std(width)) if self.max_pictured else None
        self._parts: dict[str, list[Part]] = {}
        self._warned = False

    @property
    def description(self) -> str:
        """Description of the vocabulary, for results."""
        return f"words, a vocabulary of {self.embedding.num_embeddings}, trained"

    def forward(
        self,
        instructions: Sequence[str],
        pictures: PromptPictures | None = None,
        objects: ObjectTokenizer | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Return the prompt tokens, padded to the longest prompt of the batch, and which of them are valid.

        Args:
            instructions: Prompts.
            pictures: Objects pictured at the placeholders.
            objects: Tokenizer of the objects.

        Raises:
            ValueError: if a prompt has more than `max_tokens` words or more pictures than the spec allows, or a
                placeholder has no picture, or a picture no placeholder.
        """
        parts = [self._split(instruction) for instruction in instructions]
        pictured = picture_tokens(pictures, objects, self.max_pictured)
        views = tuple(objects.sizes) if objects else ()
        prompts = prompt_indices(instructions, parts, pictures, views, self.embedding.num_embeddings)
        rows = [torch.tensor(prompt or [0], dtype=torch.long) for prompt in prompts]  # an empty prompt is padding
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.embedding.weight.device)
        if self.training and self.word_dropout:
            words = (ids != 0) & (ids < self.embedding.num_embeddings)
            dropped = torch.rand(ids.shape, device=ids.device) < self.word_dropout
            ids = ids.masked_fill(words & dropped, 1)  # [UNK], as in `build_vocabulary`
        if pictured is None or self.picture is None:
            return self.embedding(ids), ids != 0
        rows = torch.cat([self.embedding.weight, pictured + self.picture])
        return F.embedding(ids, rows, padding_idx=0), ids != 0

    def check_lengths(self, instructions: Sequence[str]) -> None:
        """Check that instructions are short enough to be read.

        Raises:
            ValueError: if one has more than `max_tokens` words.
        """
        for instruction in instructions:
            self._split(instruction)

    def _split(self, instruction: str) -> list[Part]:
        if instruction not in self._parts:
            parts = split_prompt(instruction, self._look_up, self.max_pictured)
            check_length(instruction, sum(len(part) for part in parts if isinstance(part, list)), self.max_words)
            self._parts[instruction] = parts
        return self._parts[instruction]

    def _look_up(self, text: str) -> list[int]:
        """Return the indices of words; the first time that some are missing, warn about them."""
        found = self.tokenizer.encode(text)
        unknown = self.tokenizer.token_to_id(UNKNOWN)
        missing = [text[first:end] for id, (first, end) in zip(found.ids, found.offsets, strict=True) if id == unknown]
        if missing and not self._warned:
            self._warned = True
            warnings.warn(
                f"words missing from the policy's vocabulary: {', '.join(missing)}; all such words share one "
                f"embedding. The vocabulary has {self.embedding.num_embeddings - 2} words: list the instructions of "
                "training with astra inspect checkpoint",
                stacklevel=2,
            )
        return found.ids
