"""Instructions through a frozen pretrained encoder: T5, CLIP's text encoder, or MiniLM and other BERTs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from astra.tokenizers.pretrained import Frozen, load_pretrained, load_pretrained_config, no_pretrained
from astra.tokenizers.words import check_length


class FrozenTextEncoder:
    """The last hidden states of a frozen text encoder, computed once per distinct instruction.

    Every instruction is encoded alone, so that no result depends on what else is in a batch.
    """

    def __init__(self, name: str, max_tokens: int) -> None:
        """Load the encoder and its tokenizer.

        Args:
            name: a folder, or a name on the Hugging Face hub.
            max_tokens: the longest prompt that is accepted, in tokens, special tokens included.

        Raises:
            FileNotFoundError: if there is no such model.
            ValueError: if it is none of the kinds that are read, or reads fewer than `max_tokens` tokens.
        """
        from transformers import AutoTokenizer

        encoder, config = load_text_encoder(name)
        limit = getattr(config, "max_position_embeddings", max_tokens)
        if max_tokens > limit:
            raise ValueError(f"{name!r} reads at most {limit} tokens, got language.max_tokens={max_tokens}")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(name)
        except OSError as error:
            raise no_pretrained(name) from error
        self.name = name
        self.width: int = config.hidden_size
        self.max_tokens = max_tokens
        self.encoder = Frozen(encoder)
        self.encoded: dict[str, Float[Tensor, "L _"]] = {}

    def __call__(self, instruction: str, device: torch.device) -> Float[Tensor, "L _"]:
        """Give one vector per token of the instruction.

        Raises:
            ValueError: if the instruction is longer than `max_tokens`.
        """
        if instruction not in self.encoded:
            self.encoded[instruction] = self._encode(instruction, device)
        return self.encoded[instruction].to(device)

    def _encode(self, instruction: str, device: torch.device) -> Float[Tensor, "L _"]:
        ids: list[int] = self.tokenizer(instruction)["input_ids"]
        check_length(instruction, len(ids), self.max_tokens)
        # What is kept must serve every later caller, so it must not take on the mode or precision of the first one.
        with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
            output = self.encoder(input_ids=torch.tensor([ids], device=device), device=device)
        return output.last_hidden_state[0]


def load_text_encoder(name: str) -> tuple[nn.Module, Any]:
    """Load the text encoder of a pretrained model, and give the part of its configuration that is about text.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if it is not T5, CLIP or BERT, the kind that MiniLM is.
    """
    from transformers import BertModel, CLIPTextModel, T5EncoderModel

    config = load_pretrained_config(name, "t5", "clip", "clip_text_model", "bert")
    match config.model_type:
        case "t5":
            return load_pretrained(T5EncoderModel, name), config
        case "bert":
            return load_pretrained(BertModel, name, add_pooling_layer=False), config
        case _:
            return load_pretrained(CLIPTextModel, name), getattr(config, "text_config", config)


class PretrainedLanguage(nn.Module):
    """Prompt tokens from a frozen text encoder and a trained linear layer."""

    def __init__(self, encoder: FrozenTextEncoder, width: int) -> None:
        """Make the linear layer.

        Args:
            encoder: the frozen encoder.
            width: width of a token.
        """
        super().__init__()
        self.encoder = encoder
        self.max_tokens = encoder.max_tokens
        self.projection = nn.Linear(encoder.width, width)

    @property
    def description(self) -> str:
        """Name the encoder and its weights, for results."""
        return f"{type(self.encoder.encoder.encoder).__name__}, weights of {self.encoder.name}, frozen"

    def forward(self, instructions: Sequence[str]) -> tuple[Float[Tensor, "B L D"], Bool[Tensor, "B L"]]:
        """Give the prompt tokens, padded to the longest prompt of this batch, and which of them are real.

        Raises:
            ValueError: if an instruction is longer than `max_tokens`.
        """
        device, dtype = self.projection.weight.device, self.projection.weight.dtype
        prompts = [self.encoder(instruction, device).to(dtype) for instruction in instructions]
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        padded = nn.utils.rnn.pad_sequence(prompts, batch_first=True)
        return self.projection(padded), torch.arange(padded.shape[1], device=device) < lengths[:, None]
