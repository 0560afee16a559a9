import copy
import warnings

import pytest
import torch

from astra.tokenizers.language.config import LanguageConfig
from astra.tokenizers.language.words import WordTokenizer, build_vocabulary
from astra.trajectory import Statistics, TrajectorySpec

INSTRUCTIONS = ("push the T to the center", "push the T to the lower right, at 356")


@pytest.fixture
def words() -> WordTokenizer:
    return WordTokenizer(INSTRUCTIONS, width=6, max_tokens=12)


def test_the_vocabulary_depends_on_the_set_of_instructions_alone():
    first = build_vocabulary(INSTRUCTIONS).get_vocab()
    again = build_vocabulary((*reversed(INSTRUCTIONS), INSTRUCTIONS[0])).get_vocab()
    assert first == again
    assert sorted(first, key=first.__getitem__) == (
        ["[PAD]", "[UNK]", ",", "3", "5", "6", "at", "center", "lower", "push", "right", "t", "the", "to"]
    )


def test_case_spaces_and_punctuation_do_not_change_a_word(words: WordTokenizer):
    plain, _ = words(["push the t, to 356"])
    other, _ = words(["  Push THE   T , to 356"])
    assert torch.equal(plain, other)


def test_an_unseen_number_is_read_by_its_digits(words: WordTokenizer):
    assert words.tokenizer.encode("at 653").tokens == ["at", "6", "5", "3"]


def test_padding_reaches_to_the_longest_prompt_of_the_batch(words: WordTokenizer):
    tokens, valid = words(["push", "push the T", "push the"])
    assert tokens.shape == (3, 3, 6)
    assert valid.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    assert (tokens[~valid] == 0).all()


def test_a_prompt_does_not_depend_on_the_rest_of_the_batch(words: WordTokenizer):
    alone, _ = words(["push the T"])
    together, valid = words([INSTRUCTIONS[1], "push the T"])
    assert torch.equal(together[1][valid[1]], alone[0])


def test_unknown_words_are_tokens_that_share_an_embedding(words: WordTokenizer):
    tokens, valid = words(["grasp the banana"])
    assert valid.all()
    assert torch.equal(tokens[0, 0], tokens[0, 2])
    assert not torch.equal(tokens[0, 0], tokens[0, 1])
    assert tokens[0, 0].any()


def test_words_that_look_like_special_tokens_are_words(words: WordTokenizer):
    assert words(["[PAD] [UNK]"])[1].all()


def test_an_empty_instruction_is_padding_alone(words: WordTokenizer):
    tokens, valid = words(["", ""])
    assert tokens.shape == (2, 1, 6)
    assert valid.tolist() == [[False], [False]]
    assert words(["", "push"])[1].tolist() == [[False], [True]]


def test_words_that_the_dataset_lacks_are_reported_once():
    words = WordTokenizer(INSTRUCTIONS, width=6, max_tokens=32)
    with pytest.warns(UserWarning, match=r"words missing from the policy's vocabulary: cup, AWAY; .* has \d+ words"):
        words(["push the cup AWAY"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words(["push the plate"])


def test_word_dropout_trains_the_embedding_of_unknown_words_and_acts_in_training_only():
    words = WordTokenizer(INSTRUCTIONS, width=6, max_tokens=32, word_dropout=0.5)
    tokens, valid = words([INSTRUCTIONS[0]] * 200 + ["push"])
    unknown = words.embedding.weight[1]
    dropped = (tokens == unknown).all(-1)
    assert dropped[:200, :6].float().mean() == pytest.approx(0.5, abs=0.08)
    assert not dropped[~valid].any()
    assert valid.sum() == 200 * 6 + 1
    tokens.sum().backward()
    assert words.embedding.weight.grad is not None
    assert words.embedding.weight.grad[1].abs().min() > 0
    words.eval()
    assert not (words(INSTRUCTIONS)[0] == unknown).all(-1).any()


def test_word_dropout_is_refused_with_a_pretrained_encoder():
    with pytest.raises(ValueError, match=r"knows all words: set policy.language.word_dropout to 0, got 0.1 with 't5'"):
        LanguageConfig(pretrained="t5", word_dropout=0.1)


def test_a_too_long_instruction_is_refused():
    words = WordTokenizer(INSTRUCTIONS, width=6, max_tokens=6)
    words([INSTRUCTIONS[0]])
    with pytest.raises(ValueError, match=r"'push the T to the center now' has 7 tokens, but max_tokens is 6"):
        words([INSTRUCTIONS[0] + " now"])
    words.check_lengths(INSTRUCTIONS[:1])
    with pytest.raises(ValueError, match=r"train with --policy.language.max-tokens 7 or more"):
        words.check_lengths([INSTRUCTIONS[0], INSTRUCTIONS[0] + " now"])


def test_gradient_reaches_the_words_that_were_read_and_never_the_padding(words: WordTokenizer):
    words(["push the T", "push"])[0].square().sum().backward()
    gradient = words.embedding.weight.grad
    assert gradient is not None
    read = {words.tokenizer.token_to_id(word) for word in ("push", "the", "t")}
    assert set(gradient.any(1).nonzero().flatten().tolist()) == read


def test_a_copy_gives_the_same_tokens(words: WordTokenizer):
    assert torch.equal(copy.deepcopy(words)(INSTRUCTIONS)[0], words(INSTRUCTIONS)[0])


def test_words_are_the_default_and_rebuilt_from_the_spec(tiny_spec: TrajectorySpec, tiny_statistics: Statistics):
    config = LanguageConfig()
    trained = config.build(tiny_spec, tiny_statistics, 8)
    rebuilt = config.build(tiny_spec, tiny_statistics, 8)
    rebuilt.load_state_dict(trained.state_dict())
    assert torch.equal(rebuilt(tiny_spec.instructions)[0], trained(tiny_spec.instructions)[0])
    assert (trained.max_tokens, trained.description) == (32, "words, a vocabulary of 8, trained")
