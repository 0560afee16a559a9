"""Prompts through a frozen pretrained encoder: T5, CLIP's text encoder, or MiniLM and other BERTs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.objects import ObjectSpec, PromptPictures, placeholders
from astra.tokenizers.language.prompts import (
    check_length,
    check_placeholders,
    picture_tokens,
    prompt_indices,
    split_prompt,
)
from astra.tokenizers.vision.objects import ObjectTokenizer
from astra.tokenizers.vision.pretrained import (
    Frozen,
    explained,
    load_pretrained,
    load_pretrained_config,
    loading_options,
)


class FrozenTextEncoder:
    """Last hidden states of a frozen text encoder, computed once per distinct instruction.

    Every instruction is encoded alone, so that no result depends on the rest of the batch.
    """

    def __init__(self, name: str, max_tokens: int) -> None:
        """Load the encoder and its tokenizer.

        Args:
            name: Folder, or name on the Hugging Face hub.
            max_tokens: Maximum length of a prompt in tokens, special tokens included.

        Raises:
            FileNotFoundError: if the model does not exist.
            ValueError: if it is not a supported model, or supports fewer than `max_tokens` tokens.
        """
        from transformers import AutoTokenizer

        encoder, config = load_text_encoder(name)
        limit = getattr(config, "max_position_embeddings", max_tokens)
        if max_tokens > limit:
            raise ValueError(f"{name!r} supports at most {limit} tokens, got language.max_tokens={max_tokens}")
        with explained(name):
            self.tokenizer = AutoTokenizer.from_pretrained(name, **loading_options())
        self.name = name
        self.model_type: str = config.model_type
        self.width: int = config.hidden_size
        self.max_tokens = max_tokens
        self.encoder = Frozen(encoder)
        self.encoded: dict[str, Float[Tensor, "L _"]] = {}

    def __call__(self, instruction: str, device: torch.device) -> Float[Tensor, "L _"]:
        """Return one vector per token of the instruction.

        Raises:
            ValueError: if the instruction is longer than `max_tokens`.
        """
        if instruction not in self.encoded:
            self.encoded[instruction] = self._encode(instruction, device)
        return self.encoded[instruction].to(device)

    def pieces(self, text: str) -> list[int]:
        """Return the indices of a text's word pieces, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    @property
    def vocabulary(self) -> int:
        """Number of word pieces in the vocabulary."""
        encoder: Any = self.encoder.encoder
        return encoder.get_input_embeddings().num_embeddings

    def with_pictures(
        self, prompts: Sequence[Sequence[int]], pictured: Float[Tensor, "R F"]
    ) -> tuple[Float[Tensor, "B L F"], Bool[Tensor, "B L"]]:
        """Encode prompts in which indices from `vocabulary` on are rows of `pictured`; gradients flow to these rows."""
        device = pictured.device
        encoder: Any = self.encoder.encoder.to(device)
        rows = [torch.tensor(prompt, device=device) for prompt in prompts]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        valid = torch.arange(ids.shape[1], device=device) < lengths[:, None]
        is_picture = (ids >= self.vocabulary) & valid
        words = encoder.get_input_embeddings()(ids.masked_fill(is_picture, 0))
        objects = F.embedding((ids - self.vocabulary).clamp(min=0), pictured.to(words.dtype))
        inputs = torch.where(is_picture[..., None], objects, words)
        with torch.autocast(device.type, enabled=False):
            output = encoder(inputs_embeds=inputs, attention_mask=valid.to(inputs.dtype))
        return output.last_hidden_state, valid

    def _encode(self, instruction: str, device: torch.device) -> Float[Tensor, "L _"]:
        ids: list[int] = self.tokenizer(instruction)["input_ids"]
        check_length(instruction, len(ids), self.max_tokens)
        # The result is cached for all later callers, so it must not depend on the mode or precision of the first one.
        with torch.inference_mode(mode=False), torch.autocast(device.type, enabled=False):
            output = self.encoder(input_ids=torch.tensor([ids], device=device), device=device)
        return output.last_hidden_state[0]


def load_text_encoder(name: str) -> tuple[nn.Module, Any]:
    """Load the text encoder of a pretrained model and the part of its configuration that describes text.

    Raises:
        FileNotFoundError: if the model does not exist.
        ValueError: if it is not T5, CLIP or BERT (MiniLM is a BERT).
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


class PretrainedTextTokenizer(nn.Module):
    """Prompt tokens from a frozen text encoder and a trained linear layer.

    If prompts have pictures, T5 encodes words and object tokens together: object tokens are projected to its width and
    replace embedded words. Source: Jiang et al. 2023, VIMA (which also trains T5's last layers).
    """

    def __init__(self, encoder: FrozenTextEncoder, width: int, objects: ObjectSpec | None = None) -> None:
        """Build the linear layer, and another one for objects if prompts may have pictures.

        Args:
            encoder: Frozen encoder.
            width: Width of a token.
            objects: Objects that prompts may picture; None: prompts have no pictures.

        Raises:
            ValueError: if prompts may have pictures and the encoder is not a T5.
        """
        super().__init__()
        self.encoder = encoder
        self.max_pictured = objects.max_pictured if objects else 0
        self.max_tokens = encoder.max_tokens + self.max_pictured * len(objects.views if objects else ())
        self.projection = nn.Linear(encoder.width, width)
        if self.max_pictured and encoder.model_type != "t5":
            raise ValueError(
                f"the prompts have pictures, but {encoder.name!r}, a model of type {encoder.model_type!r}, encodes "
                "text only: use a T5, or words of the dataset (language.pretrained None)"
            )
        self.picture = nn.Linear(width, encoder.width) if self.max_pictured else None

    @property
    def description(self) -> str:
        """Description of the encoder and its weights, for results."""
        return f"{type(self.encoder.encoder.encoder).__name__}, weights of {self.encoder.name}, frozen"

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
            ValueError: if an instruction is longer than `max_tokens`, or its pictures and placeholders do not match.
        """
        device, dtype = self.projection.weight.device, self.projection.weight.dtype
        pictured = picture_tokens(pictures, objects, self.max_pictured)
        if pictured is not None and self.picture is not None:
            views = tuple(objects.sizes) if objects else ()
            prompts = self._indices(instructions, pictures, views)
            encoded, valid = self.encoder.with_pictures(prompts, self.picture(pictured))
            return self.projection(encoded.to(dtype)), valid
        if self.max_pictured:
            for instruction in instructions:
                check_placeholders(instruction, range(len(placeholders(instruction))))
        prompts = [self.encoder(instruction, device).to(dtype) for instruction in instructions]
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        padded = nn.utils.rnn.pad_sequence(prompts, batch_first=True)
        return self.projection(padded), torch.arange(padded.shape[1], device=device) < lengths[:, None]

    def check_lengths(self, instructions: Sequence[str]) -> None:
        """Check that instructions are short enough to be read.

        Raises:
            ValueError: if one has more than `max_tokens` word pieces.
        """
        special = len(self.encoder.tokenizer("")["input_ids"])
        for instruction in instructions:
            parts = split_prompt(instruction, self.encoder.pieces, self.max_pictured)
            length = special + sum(len(part) for part in parts if isinstance(part, list))
            check_length(instruction, length, self.encoder.max_tokens)

    def _indices(
        self, instructions: Sequence[str], pictures: PromptPictures | None, views: Sequence[str]
    ) -> list[list[int]]:
        """Return word pieces and rows of object tokens, as `FrozenTextEncoder.with_pictures` expects them."""
        parts = [split_prompt(instruction, self.encoder.pieces, self.max_pictured) for instruction in instructions]
        end: list[int] = self.encoder.tokenizer("")["input_ids"]  # the tokenizer appends it to every text
        for instruction, pieces in zip(instructions, parts, strict=True):
            length = 1 + sum(len(piece) for piece in pieces if isinstance(piece, list))
            check_length(instruction, length, self.encoder.max_tokens)
        prompts = prompt_indices(instructions, parts, pictures, views, self.encoder.vocabulary)
        return [prompt + end for prompt in prompts]
