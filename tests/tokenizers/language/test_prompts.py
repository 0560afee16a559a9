"""Words and pictures in one prompt, in reading order; pictures that do not match the placeholders are reported."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from astra.objects import ObjectSpec, PromptPictures, placeholders
from astra.tokenizers.language.config import LanguageConfig, LanguageTokenizer
from astra.tokenizers.language.words import WordTokenizer
from astra.tokenizers.vision.objects import ObjectConfig, ObjectTokenizer
from astra.trajectory import Statistics, TrajectorySpec

WIDTH = 8
INSTRUCTIONS = ("Put the {dragged_obj} into the {base_obj}.", "follow {frame_0} {frame_1}", "stop now")
OBJECTS = ObjectSpec(views={"top": (128, 256), "front": (64, 96)}, max_objects=4, max_pictured=4)


def picture(n: int, seed: int, hidden: tuple[int, ...] = ()) -> dict[str, dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    shown = {}
    for view in OBJECTS.views:
        valid = np.ones(n, dtype=np.bool_)
        valid[list(hidden)] = False
        crops = generator.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        shown[view] = {"crops": crops, "boxes": generator.random((n, 4), dtype=np.float32), "valid": valid}
    return shown


PICTURES = (
    {"dragged_obj": picture(1, 0), "base_obj": picture(1, 1)},
    {"frame_0": picture(2, 2, hidden=(1,)), "frame_1": picture(2, 3)},
    {},
)


@pytest.fixture
def spec(tiny_spec: TrajectorySpec) -> TrajectorySpec:
    return replace(tiny_spec, instructions=INSTRUCTIONS, objects=OBJECTS)


@pytest.fixture
def objects() -> ObjectTokenizer:
    return ObjectConfig().build(OBJECTS, WIDTH).eval()


@pytest.fixture
def words(spec: TrajectorySpec, tiny_statistics: Statistics) -> LanguageTokenizer:
    return LanguageConfig().build(spec, tiny_statistics, WIDTH)


def stacked(*rows: int) -> tuple[tuple[str, ...], PromptPictures | None]:
    instructions = tuple(INSTRUCTIONS[row] for row in rows)
    return instructions, PromptPictures.stack(instructions, [PICTURES[row] for row in rows])


def test_placeholders_are_named_once_in_reading_order():
    assert placeholders("{b} and {a} and {b}") == ("b", "a")


def test_placeholders_are_no_words(words: LanguageTokenizer):
    assert isinstance(words, WordTokenizer)
    assert sorted(words.tokenizer.get_vocab()) == sorted(
        ["[PAD]", "[UNK]", "put", "the", "into", ".", "follow", "stop", "now"]
    )
    assert words.max_tokens == 32 + 4 * 2


def test_a_prompt_is_words_and_objects_in_reading_order(words: LanguageTokenizer, objects: ObjectTokenizer):
    assert isinstance(words, WordTokenizer)
    assert words.picture is not None
    instructions, pictures = stacked(0, 1, 2)
    assert pictures is not None
    tokens, valid = words(instructions, pictures, objects)
    assert valid.sum(1).tolist() == [3 + 2 + 2 + 2, 1 + 2 + 4, 2]  # hidden objects take no place
    seen = objects(pictures.views)[0].unflatten(1, (2, 4)) + words.picture  # prompt, view, object
    word = {name: words.embedding.weight[number] for name, number in words.tokenizer.get_vocab().items()}
    expected = [word["put"], word["the"], *seen[0, :, 0], word["into"], word["the"], *seen[0, :, 1], word["."]]
    torch.testing.assert_close(tokens[0, : len(expected)], torch.stack(expected))
    expected = [word["follow"], *seen[1, :, 0], *seen[1, :, 2], *seen[1, :, 3]]
    torch.testing.assert_close(tokens[1, : len(expected)], torch.stack(expected))
    torch.testing.assert_close(tokens[2, :2], torch.stack([word["stop"], word["now"]]))


def test_a_placeholder_that_is_named_twice_shows_its_picture_twice(words: LanguageTokenizer, objects: ObjectTokenizer):
    assert isinstance(words, WordTokenizer)
    text = "put {dragged_obj} into {dragged_obj}"
    pictures = PromptPictures.stack([text], [{"dragged_obj": picture(1, 0)}])
    tokens, valid = words([text], pictures, objects)
    assert valid.sum() == 6
    assert torch.equal(tokens[0, 1:3], tokens[0, 4:6])


@pytest.mark.parametrize("kind", ["words", "t5"])
def test_a_prompt_does_not_depend_on_its_batch(
    kind: str,
    spec: TrajectorySpec,
    tiny_statistics: Statistics,
    objects: ObjectTokenizer,
    save_text_model: Callable[[str], str],
):
    pretrained = save_text_model("t5") if kind == "t5" else None
    language = LanguageConfig(pretrained=pretrained).build(spec, tiny_statistics, WIDTH).eval()
    instructions, pictures = stacked(0, 1, 2)
    tokens, valid = language(instructions, pictures, objects)
    for row in range(3):
        alone, alone_valid = language(*stacked(row), objects)
        assert alone_valid.all()
        torch.testing.assert_close(alone[0], tokens[row, valid[row]], rtol=0, atol=1e-5)


def test_gradients_reach_the_objects_through_a_frozen_t5(
    spec: TrajectorySpec,
    tiny_statistics: Statistics,
    objects: ObjectTokenizer,
    save_text_model: Callable[[str], str],
):
    language = LanguageConfig(pretrained=save_text_model("t5")).build(spec, tiny_statistics, WIDTH)
    instructions, pictures = stacked(0, 2)
    assert pictures is not None
    tokens, valid = language(instructions, pictures, objects)
    tokens[valid].square().sum().backward()
    assert all(parameter.grad is not None for parameter in language.parameters())
    assert objects.norm.weight.grad is not None
    assert objects.norm.weight.grad.abs().max() > 0
    changed = replace(pictures.views["top"], crops=255 - pictures.views["top"].crops)
    other = replace(pictures, views={**pictures.views, "top": changed})
    assert not torch.equal(language(instructions, other, objects)[0][0], tokens[0])


@pytest.mark.parametrize("kind", ["clip", "bert"])
def test_encoders_that_read_text_only_say_so(
    kind: str, spec: TrajectorySpec, tiny_statistics: Statistics, save_text_model: Callable[[str], str]
):
    with pytest.raises(ValueError, match="encodes text only: use a T5, or words of the dataset"):
        LanguageConfig(pretrained=save_text_model(kind), max_tokens=16).build(spec, tiny_statistics, WIDTH)


def test_what_does_not_fit_is_reported(words: LanguageTokenizer, objects: ObjectTokenizer):
    with pytest.raises(ValueError, match=r"has the placeholder \{base_obj\}, but there is no picture for it"):
        PromptPictures.stack(INSTRUCTIONS[:1], [{"dragged_obj": picture(1, 0)}])
    with pytest.raises(ValueError, match=r"a picture for 'scene', but the instruction 'stop now' has no placeholder"):
        PromptPictures.stack(["stop now"], [{"scene": picture(1, 0)}])
    with pytest.raises(ValueError, match="shows no object: all are marked invalid"):
        PromptPictures.stack(["{scene}"], [{"scene": picture(2, 0, hidden=(0, 1))}])
    with pytest.raises(ValueError, match=r"needs, in each view, crops uint8 \(n, 32, 32, 3\)"):
        PromptPictures.stack(["{scene}"], [{"scene": {"top": {"crops": np.zeros((1, 8, 8, 3), np.uint8)}}}])
    one_view = {name: {"top": shown["top"]} for name, shown in PICTURES[0].items()}
    with pytest.raises(ValueError, match="give every picture in every view"):
        PromptPictures.stack(INSTRUCTIONS[:2], [one_view, PICTURES[1]])
    many = PromptPictures.stack(["{scene}"], [{"scene": picture(5, 0)}])
    with pytest.raises(ValueError, match="a prompt pictures 5 objects, but the policy was built for at most 4"):
        words(["{scene}"], many, objects)
    with pytest.raises(ValueError, match="has 33 tokens, but max_tokens is 32"):
        words(["stop " * 33], None, objects)
    alone = WordTokenizer(["stop now"], WIDTH, 32)
    with pytest.raises(ValueError, match="the policy was built for prompts of words only"):
        alone(*stacked(0), objects)
