"""Instructions through a frozen pretrained encoder: T5, CLIP's text encoder, or MiniLM and other BERTs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from astra.objects import ObjectSpec, PromptPictures, placeholders
from astra.tokenizers.language.prompts import cut, fill
from astra.tokenizers.language.words import check_length, check_pictured
from astra.tokenizers.vision.objects import ObjectTokenizer
from astra.tokenizers.vision.pretrained import Frozen, load_pretrained, load_pretrained_config, no_pretrained


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
        self.model_type: str = config.model_type
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

    def pieces(self, text: str) -> list[int]:
        """Number the pieces of words of a text, without special tokens."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    @property
    def vocabulary(self) -> int:
        """Count the embeddings of pieces of words."""
        encoder: Any = self.encoder.encoder
        return encoder.get_input_embeddings().num_embeddings

    def with_pictures(
        self, prompts: Sequence[Sequence[int]], pictured: Float[Tensor, "R F"]
    ) -> tuple[Float[Tensor, "B L F"], Bool[Tensor, "B L"]]:
        """Encode prompts whose numbers from `vocabulary` on are rows of pictured objects, to which gradients flow."""
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
    """Prompt tokens from a frozen text encoder and a trained linear layer.

    Where pictures stand in prompts, T5 reads words and object tokens together: the object tokens are brought to its
    width and take the place of embedded words. Source: Jiang et al. 2023, VIMA (which also trains T5's last layers).
    """

    def __init__(self, encoder: FrozenTextEncoder, width: int, objects: ObjectSpec | None = None) -> None:
        """Make the linear layer, and another for objects where pictures may stand in prompts.

        Args:
            encoder: the frozen encoder.
            width: width of a token.
            objects: what pictures may stand in prompts; None: none may.

        Raises:
            ValueError: if pictures may stand in prompts and the encoder is not a T5.
        """
        super().__init__()
        self.encoder = encoder
        self.max_pictured = objects.max_pictured if objects else 0
        self.max_tokens = encoder.max_tokens + self.max_pictured * len(objects.views if objects else ())
        self.projection = nn.Linear(encoder.width, width)
        if self.max_pictured and encoder.model_type != "t5":
            raise ValueError(
                f"there are pictures in the prompts, and {encoder.name!r}, a model of type {encoder.model_type!r}, "
                "reads text only: take a T5, or words of the dataset (language.pretrained None)"
            )
        self.picture = nn.Linear(width, encoder.width) if self.max_pictured else None

    @property
    def description(self) -> str:
        """Name the encoder and its weights, for results."""
        return f"{type(self.encoder.encoder.encoder).__name__}, weights of {self.encoder.name}, frozen"

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
            ValueError: if an instruction is longer than `max_tokens`, or its pictures and placeholders do not fit.
        """
        device, dtype = self.projection.weight.device, self.projection.weight.dtype
        if pictures is not None and objects is not None and self.picture is not None:
            check_pictured(pictures, self.max_pictured)
            parts = [cut(instruction, self.encoder.pieces) for instruction in instructions]
            end: list[int] = self.encoder.tokenizer("")["input_ids"]  # what it puts behind every text
            for instruction, pieces in zip(instructions, parts, strict=True):
                check_length(
                    instruction, 1 + sum(len(p) for p in pieces if isinstance(p, list)), self.encoder.max_tokens
                )
            first = self.encoder.vocabulary
            prompts = [ids + end for ids in fill(instructions, parts, pictures, tuple(objects.sizes), first)]
            pictured = self.picture(objects(pictures.views)[0].flatten(0, 1))
            encoded, valid = self.encoder.with_pictures(prompts, pictured)
            return self.projection(encoded.to(dtype)), valid
        if pictures is not None:
            raise ValueError("there are pictures in the prompts, but the policy was made for prompts of words alone")
        for instruction in instructions:
            if names := placeholders(instruction):
                raise ValueError(
                    f"the instruction {instruction!r} has the placeholder {{{names[0]}}}, but there is no picture for "
                    "it"
                )
        padded_prompts = [self.encoder(instruction, device).to(dtype) for instruction in instructions]
        lengths = torch.tensor([len(prompt) for prompt in padded_prompts], device=device)
        padded = nn.utils.rnn.pad_sequence(padded_prompts, batch_first=True)
        return self.projection(padded), torch.arange(padded.shape[1], device=device) < lengths[:, None]
