import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.language.text_encoders import PretrainedTextTokenizer
from astra.trajectory import Statistics, TrajectorySpec

KINDS = ["t5", "clip", "bert"]


@pytest.fixture(params=KINDS)
def language(
    request: pytest.FixtureRequest,
    save_text_model: Callable[[str], str],
    tiny_spec: TrajectorySpec,
    tiny_statistics: Statistics,
) -> PretrainedTextTokenizer:
    config = LanguageConfig(pretrained=save_text_model(request.param), max_tokens=12)
    language = config.build(tiny_spec, tiny_statistics, 8)
    assert isinstance(language, PretrainedTextTokenizer)
    return language


def count_encodings(language: PretrainedTextTokenizer) -> list[int]:
    lengths = []
    language.encoder.encoder.encoder.register_forward_hook(
        lambda _module, _inputs, output: lengths.append(output.last_hidden_state.shape[1])
    )
    return lengths


def test_one_token_per_word_padded_to_the_longest_prompt(language: PretrainedTextTokenizer):
    tokens, valid = language(["push the T", "push"])
    assert tokens.shape == (2, 3, 8)
    assert valid.tolist() == [[True, True, True], [True, False, False]]
    assert tokens.isfinite().all()


def test_the_encoder_runs_once_per_distinct_instruction(language: PretrainedTextTokenizer, instructions: Sequence[str]):
    encodings = count_encodings(language)
    language([*instructions, *instructions])
    language(instructions)
    copy.deepcopy(language)(instructions)
    assert encodings == [6, 7]


def test_a_prompt_does_not_depend_on_the_rest_of_the_batch(
    language: PretrainedTextTokenizer, instructions: Sequence[str]
):
    together, valid = language([instructions[1], "push the T"])
    other = copy.deepcopy(language)
    other.encoder.encoded.clear()
    alone, _ = other(["push the T"])
    assert torch.allclose(together[1][valid[1]], alone[0], atol=1e-6)


def test_tokens_are_the_encoders_own_hidden_states(language: PretrainedTextTokenizer, instructions: Sequence[str]):
    encoder = language.encoder.encoder.encoder
    ids = torch.tensor([language.encoder.tokenizer(instructions[0])["input_ids"]])
    with torch.no_grad():
        expected = language.projection(encoder(input_ids=ids).last_hidden_state)
    assert torch.allclose(language(instructions[:1])[0], expected, atol=1e-6)


def test_only_the_linear_layer_is_trained_and_saved(language: PretrainedTextTokenizer, instructions: Sequence[str]):
    language.train()
    language(instructions)[0].square().sum().backward()
    encoder = language.encoder.encoder.encoder
    assert {name for name, _ in language.named_parameters()} == {"projection.weight", "projection.bias"}
    assert set(language.state_dict()) == {"projection.weight", "projection.bias"}
    assert all(p.grad is not None and p.grad.any() for p in language.parameters())
    assert all(p.grad is None and not p.requires_grad for p in encoder.parameters())
    assert not any(module.training for module in encoder.modules())


def test_an_instruction_first_met_while_acting_is_trained_on(
    language: PretrainedTextTokenizer, instructions: Sequence[str]
):
    with torch.inference_mode():
        language(instructions)
    language(instructions)[0].sum().backward()
    assert language.projection.weight.grad is not None


def test_what_is_kept_has_full_precision_under_autocast(language: PretrainedTextTokenizer, instructions: Sequence[str]):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        language(instructions)
    assert {encoded.dtype for encoded in language.encoder.encoded.values()} == {torch.float32}


def test_a_too_long_instruction_is_refused(language: PretrainedTextTokenizer):
    with pytest.raises(ValueError, match="has 13 tokens, but max_tokens is 12"):
        language(["push " * 13])


def test_results_name_the_weights(language: PretrainedTextTokenizer):
    assert language.encoder.name in language.description
    assert language.description.endswith("frozen")


def test_more_tokens_than_the_encoder_reads_are_refused(
    save_text_model: Callable[[str], str], tiny_spec: TrajectorySpec, tiny_statistics: Statistics
):
    config = LanguageConfig(pretrained=save_text_model("clip"), max_tokens=21)
    with pytest.raises(ValueError, match=r"supports at most 20 tokens, got language.max_tokens=21"):
        config.build(tiny_spec, tiny_statistics, 8)


def test_a_missing_folder_is_reported(tmp_path: Path, tiny_spec: TrajectorySpec, tiny_statistics: Statistics):
    with pytest.raises(FileNotFoundError, match=r"pretrained model .*nowhere' not found"):
        LanguageConfig(pretrained=str(tmp_path / "nowhere")).build(tiny_spec, tiny_statistics, 8)


def test_a_model_of_another_kind_is_refused(
    save_image_model: Callable[[str], str], tiny_spec: TrajectorySpec, tiny_statistics: Statistics
):
    config = LanguageConfig(pretrained=save_image_model("vit"))
    with pytest.raises(ValueError, match="type 'vit', expected t5 or clip or clip_text_model or bert"):
        config.build(tiny_spec, tiny_statistics, 8)
