"""Instructions as words: a vocabulary made from the data set and a learned embedding."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor, nn

PADDING, UNKNOWN = "[PAD]", "[UNK]"


def word_tokenizer(instructions: Sequence[str]) -> Tokenizer:
    """Make a word-level tokenizer whose vocabulary is a pure function of the set of instructions.

    Words are lower-cased and split at spaces and punctuation. Each digit is a token of its own, so that a number which
    no instruction holds is still read by its digits.
    """
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    normalised = (tokenizer.normalizer.normalize_str(instruction) for instruction in instructions)
    words = {word for text in normalised for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    vocabulary = {word: index for index, word in enumerate([PADDING, UNKNOWN, *sorted(words)])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer


class Words(nn.Module):
    """Prompt tokens from a learned embedding of each word; trained with the policy.

    All words that are missing from the vocabulary share one embedding, which training on the same instructions leaves
    as it was initialised.
    """

    def __init__(self, instructions: Sequence[str], width: int, max_tokens: int) -> None:
        """Make the vocabulary and its embedding.

        Args:
            instructions: the instructions of the data set.
            width: width of a token.
            max_tokens: the longest prompt that is accepted, in tokens.
        """
        super().__init__()
        self.tokenizer = word_tokenizer(instructions)
        self.max_tokens = max_tokens
        self.embedding = nn.Embedding(self.tokenizer.get_vocab_size(), width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.02)
        with torch.no_grad():
            self.embedding.weight[0].zero_()

    @property
    def description(self) -> str:
        """Name the words and their number, for results."""
        return f"words, a vocabulary of {self.embedding.num_embeddings}, trained"

    def forward(self, instructions: Sequence[str]) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Give the prompt tokens, padded to the longest prompt of this batch, and which of them are real.

        Raises:
            ValueError: if an instruction is longer than `max_tokens`.
        """
        prompts = [self.tokenizer.encode(instruction).ids for instruction in instructions]
        for instruction, prompt in zip(instructions, prompts, strict=True):
            check_length(instruction, len(prompt), self.max_tokens)
        rows = [torch.tensor(prompt, dtype=torch.long) for prompt in prompts]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.embedding.weight.device)
        return self.embedding(ids), ids != 0


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
