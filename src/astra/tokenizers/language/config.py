"""The prompt: an instruction, and the pictures in it, to L tokens and their validity."""

from dataclasses import dataclass

from astra.tokenizers.language.text_encoders import FrozenTextEncoder, PretrainedLanguage
from astra.tokenizers.language.words import Words
from astra.trajectory import Statistics, TrajectorySpec

LanguageTokenizer = Words | PretrainedLanguage


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """How an instruction becomes the prompt."""

    pretrained: str | None = None
    """Folder or Hugging Face name of a T5, CLIP or MiniLM, used frozen; None: words of the dataset, trained."""
    max_tokens: int = 32
    """Longest prompt in words or pieces of words, a longer one is an error; pictures come on top, as the data has."""

    def build(self, spec: TrajectorySpec, statistics: Statistics, width: int) -> LanguageTokenizer:
        """Make the tokenizer; its vocabulary comes from the spec's instructions, the statistics are not read.

        Raises:
            FileNotFoundError: if there is no such pretrained model.
            ValueError: if the pretrained model is not one of the three kinds.
        """
        if self.pretrained is None:
            return Words(spec.instructions, width, self.max_tokens, spec.objects)
        return PretrainedLanguage(FrozenTextEncoder(self.pretrained, self.max_tokens), width, spec.objects)
