"""Progress is told in a log as well, where no bar can be drawn."""

import pytest

from astra.progress import about, progress


def play(capsys: pytest.CaptureFixture[str], seconds: float, parts: int, *, shown: bool = True) -> list[str]:
    """Do work of so many equal parts that takes so many seconds, and return the lines of the log."""
    now = 0.0
    with progress("collecting", parts, "episodes", shown=shown, clock=lambda: now) as advance:
        for _ in range(parts):
            now += seconds / parts
            advance(1)
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err.splitlines()


def test_short_work_prints_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(capsys, 59, 100) == []


def test_long_work_prints_lines_that_become_rarer(capsys: pytest.CaptureFixture[str]) -> None:
    lines = play(capsys, 4 * 3600, 14_400)
    assert lines[0] == "collecting: 0 % of 14,400 episodes, about 4.0 hours left"
    assert 10 < len(lines) < 40
    shares = [float(line.split()[1]) for line in lines]
    assert shares == sorted(shares)
    assert shares[-1] - shares[-2] > 5


def test_the_time_that_is_left_follows_from_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    lines = play(capsys, 600, 10)
    assert lines[0] == "collecting: 10 % of 10 episodes, about 9 minutes left"
    assert lines[4] == "collecting: 50 % of 10 episodes, about 5 minutes left"
    assert len(lines) == 7


def test_what_is_not_shown_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(capsys, 4 * 3600, 100, shown=False) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "less than a minute"), (80, "about a minute"), (600, "about 10 minutes"), (7200, "about 2.0 hours")],
)
def test_durations_are_told_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == words
