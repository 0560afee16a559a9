"""Prompts as words and pictures: a vocabulary made from the dataset's instructions and a learned embedding."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F

from astra.attention.initialization import init_std
from astra.objects import PLACEHOLDER, ObjectSpec, PromptPictures
from astra.tokenizers.language.prompts import Part, cut, fill
from astra.tokenizers.vision.objects import ObjectTokenizer

PADDING, UNKNOWN = "[PAD]", "[UNK]"


def word_tokenizer(instructions: Sequence[str]) -> Tokenizer:
    """Make a word-level tokenizer whose vocabulary is a pure function of the set of instructions.

    Words are lower-cased and split at spaces and punctuation; placeholders are no words. Each digit is a token of its
    own, so that a number which no instruction holds is still read by its digits.
    """
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    normalized = (tokenizer.normalizer.normalize_str(PLACEHOLDER.sub(" ", instruction)) for instruction in instructions)
    words = {word for text in normalized for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    vocabulary = {word: index for index, word in enumerate([PADDING, UNKNOWN, *sorted(words)])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer


class Words(nn.Module):
    """Prompt tokens from a learned embedding of each word, trained with the policy, and from pictured objects.

    All words that are missing from the vocabulary share one embedding, which training on the same instructions leaves
    as it was initialized.
    """

    def __init__(
        self, instructions: Sequence[str], width: int, max_tokens: int, objects: ObjectSpec | None = None
    ) -> None:
        """Make the vocabulary and its embedding.

        Args:
            instructions: the instructions of the dataset.
            width: width of a token.
            max_tokens: the most words that are accepted in one prompt.
            objects: what pictures may stand in prompts; None: none may.
        """
        super().__init__()
        self.tokenizer = word_tokenizer(instructions)
        self.max_words = max_tokens
        self.max_pictured = objects.max_pictured if objects else 0
        self.max_tokens = max_tokens + self.max_pictured * len(objects.views if objects else ())
        self.embedding = nn.Embedding(self.tokenizer.get_vocab_size(), width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=init_std(width))
        with torch.no_grad():
            self.embedding.weight[0].zero_()
        # Tells an object of the prompt from the same object in a state.
        self.picture = nn.Parameter(torch.randn(width) * init_std(width)) if self.max_pictured else None
        self._parts: dict[str, list[Part]] = {}
        self._warned = False

    @property
    def description(self) -> str:
        """Name the words and their number, for results."""
        return f"words, a vocabulary of {self.embedding.num_embeddings}, trained"

    def forward(
        self,
        instructions: Sequence[str],
        pictures: PromptPictures | None = None,
        objects: ObjectTokenizer | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Give the prompt tokens, padded to the longest prompt of this batch, and which of them are real.

        Args:
            instructions: the prompts.
            pictures: the objects that stand at their placeholders.
            objects: makes their tokens.

        Raises:
            ValueError: if a prompt has more than `max_tokens` words or more pictures than the spec allows, a
                placeholder has no picture or a picture no placeholder.
        """
        parts = [self._cut(instruction) for instruction in instructions]
        first = self.embedding.num_embeddings
        pictured = None
        if pictures is not None and objects is not None and self.picture is not None:
            check_pictured(pictures, self.max_pictured)
            pictured = objects(pictures.views)[0].flatten(0, 1) + self.picture
        elif pictures is not None:
            raise ValueError("there are pictures in the prompts, but the policy was made for prompts of words alone")
        prompts = fill(instructions, parts, pictures, tuple(objects.sizes) if objects else (), first)
        rows = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.embedding.weight.device)
        if pictured is None:
            return self.embedding(ids), ids != 0
        return F.embedding(ids, torch.cat([self.embedding.weight, pictured]), padding_idx=0), ids != 0

    def _cut(self, instruction: str) -> list[Part]:
        if instruction not in self._parts:
            parts = cut(instruction, self._read)
            check_length(instruction, sum(len(part) for part in parts if isinstance(part, list)), self.max_words)
            self._parts[instruction] = parts
        return self._parts[instruction]

    def _read(self, text: str) -> list[int]:
        """Look words up; the first time that some are missing, warn of them."""
        read = self.tokenizer.encode(text)
        unknown = self.tokenizer.token_to_id(UNKNOWN)
        missing = [text[first:end] for id, (first, end) in zip(read.ids, read.offsets, strict=True) if id == unknown]
        if missing and not self._warned:
            self._warned = True
            warnings.warn(
                f"the policy has never read the words {', '.join(missing)}, and takes all such words for one: it "
                f"learned from instructions of {self.embedding.num_embeddings - 2} words (astra inspect checkpoint)",
                stacklevel=2,
            )
        return read.ids


def check_pictured(pictures: PromptPictures, max_pictured: int) -> None:
    """Refuse a prompt with too many pictures.

    Raises:
        ValueError: if a prompt pictures more than `max_pictured` objects.
    """
    most = int((pictures.placeholder >= 0).sum(1).max())
    if most > max_pictured:
        raise ValueError(
            f"a prompt pictures {most} objects, but the policy was made for at most {max_pictured}: train it on data "
            "whose max_pictured is that large"
        )


def check_length(instruction: str, length: int, max_tokens: int) -> None:
    """Refuse a prompt that is too long.

    Raises:
        ValueError: if the instruction has more than `max_tokens` tokens.
    """
    if length > max_tokens:
        raise ValueError(
            f"the instruction {instruction!r} has {length} tokens, but max_tokens is {max_tokens}: "
            f"shorten it, or train with language.max_tokens of {length} or more"
        )
