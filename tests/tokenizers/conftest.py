"""Tiny models with random weights, saved as `transformers` saves them; nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRANSFORMER: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
VIT: dict[str, Any] = {**TRANSFORMER, "image_size": 32, "patch_size": 8}
MAE_DECODER: dict[str, Any] = {
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 32,
}


@pytest.fixture
def instructions() -> tuple[str, str]:
    """Two instructions of 6 and 7 words."""
    return ("push the T to the center", "push the T to the lower right")


@pytest.fixture
def save_text_model(tmp_path: Path, instructions: tuple[str, str]) -> Callable[[str], str]:
    """Save a complete t5, clip or bert, of which the text encoder is a part, and its tokenizer; return the folder."""
    import transformers as hf

    from astra.tokenizers.language.words import build_vocabulary

    words = build_vocabulary(instructions)
    vocabulary = words.get_vocab_size()

    def t5() -> hf.PreTrainedModel:
        config = hf.T5Config(vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        return hf.T5ForConditionalGeneration(config)

    def clip() -> hf.PreTrainedModel:
        text = TRANSFORMER | {"vocab_size": vocabulary, "max_position_embeddings": 20, "projection_dim": 8}
        vision = VIT | {"projection_dim": 8}
        return hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))

    def bert() -> hf.PreTrainedModel:
        return hf.BertModel(hf.BertConfig(vocab_size=vocabulary, max_position_embeddings=40, **TRANSFORMER))

    def save(kind: str) -> str:
        folder = tmp_path / kind
        {"t5": t5, "clip": clip, "bert": bert}[kind]().save_pretrained(folder)
        tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
        tokenizer.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture
def save_image_model(tmp_path: Path) -> Callable[[str], str]:
    """Save a complete resnet, vit (classifiers) or mae (auto-encoder) for 32 x 32 pixels; return the folder."""
    import transformers as hf

    def resnet() -> hf.PreTrainedModel:
        config = hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
        return hf.ResNetForImageClassification(config)

    def vit() -> hf.PreTrainedModel:
        return hf.ViTForImageClassification(hf.ViTConfig(**VIT))

    def mae() -> hf.PreTrainedModel:
        return hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**VIT, **MAE_DECODER))

    def save(kind: str) -> str:
        folder = tmp_path / kind
        {"resnet": resnet, "vit": vit, "mae": mae}[kind]().save_pretrained(folder)
        return str(folder)

    return save
