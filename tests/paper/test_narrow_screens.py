"""A table of many columns on a narrow screen."""

import pytest

from astra.paper.rendering import Part, print_part

WIDE = Part(
    title="Ours",
    header=("policy", "seeds", "unseen container", "seen", "grasp attempts (number, not %)", "all", "x", "y"),
    rows=(
        ("Astra, blind (ours)", "1", "0.0 [0.0, 3.7]", "100.0 [96.3, 100.0]", "0.25 [0.21, 0.29]", "0.0", "1", "2"),
        ("VIMA", "not run yet", "", "-16.8 [-24.0, -9.6]", "16.21 [13.40, 20.15]", "+0.0 [-8.0, +8.0]", "", "3"),
    ),
    names=2,
)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_wide_part_loses_no_word_on_a_narrow_screen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_part(WIDE)
    printed = capsys.readouterr().out
    words = [word for row in (WIDE.header, *WIDE.rows) for text in row for word in text.split()]
    assert not [word for word in words if word not in printed.split()]
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("policy") == {60: 2, 80: 1, 120: 1, 200: 1}[width]
