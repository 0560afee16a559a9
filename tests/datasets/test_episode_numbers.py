import pytest

from astra.datasets.episode_numbers import format_episodes, parse_episodes


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((), ""), ((0,), "0"), ((3, 4, 17), "3 4 17"), ((0, 1, 2, 9, 11, 12, 13, 14), "0-2 9 11-14")],
)
def test_what_is_printed_is_read_back(numbers: tuple[int, ...], words: str) -> None:
    assert format_episodes(numbers) == words
    assert parse_episodes(words.split()) == numbers


@pytest.mark.parametrize("word", ["", "x", "-1", "3-", "5-3", "1-2-3", "1.5", "0-99999999999", "3,4"])
def test_other_words_are_refused_with_examples(word: str) -> None:
    with pytest.raises(ValueError, match="such as 3, or ranges from a smaller to a larger one, such as 100-250"):
        parse_episodes([word])
