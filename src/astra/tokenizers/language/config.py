"""Choice of the prompt's tokenizer: instruction and pictures to L tokens and their validity."""

from dataclasses import dataclass

from astra.storage.numbers import Share, Tokens, check_numbers
from astra.tokenizers.language.text_encoders import FrozenTextEncoder, PretrainedTextTokenizer
from astra.tokenizers.language.words import WordTokenizer
from astra.trajectory import Statistics, TrajectorySpec

LanguageTokenizer = WordTokenizer | PretrainedTextTokenizer


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """How an instruction becomes the prompt's tokens."""

    pretrained: str | None = None
    """Folder or Hugging Face name of a frozen T5, CLIP or MiniLM; None: a trained embedding of the dataset's words."""
    max_tokens: Tokens = 32
    """Maximum prompt length in words or word pieces, without pictures; longer prompts raise an error."""

    word_dropout: Share = 0.0
    """Share of words that are unknown in training, so that words which no training instruction has mean something."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range; the message names the field.
        """
        check_numbers(self, "policy.language")
        if self.word_dropout and self.pretrained is not None:
            raise ValueError(
                f"a pretrained text encoder knows all words: set policy.language.word_dropout to 0, got "
                f"{self.word_dropout} with {self.pretrained!r}"
            )

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> LanguageTokenizer:
        """Build the tokenizer; its vocabulary comes from the spec's instructions, the statistics are not used.

        Raises:
            FileNotFoundError: if the pretrained model does not exist.
            ValueError: if the pretrained model is not one of the three kinds.
        """
        if self.pretrained is None:
            return WordTokenizer(spec.instructions, width, self.max_tokens, spec.objects, self.word_dropout)
        return PretrainedTextTokenizer(FrozenTextEncoder(self.pretrained, self.max_tokens), width, spec.objects)
