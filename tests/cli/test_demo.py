import json
from dataclasses import replace
from pathlib import Path

import pytest

from astra.cli.demo import SMALL, WHOLE, Demo, check_collected


def test_the_demo_ends_by_its_updates_on_a_fixed_number_of_threads() -> None:
    one = Demo().training
    assert Demo(small=True).training == replace(one, updates=SMALL.updates)
    assert one.max_minutes is None
    assert one.updates == WHOLE.updates
    assert one.threads == 1


def test_chosen_numbers_replace_those_of_either_size() -> None:
    assert Demo(small=True, updates=7).size == replace(SMALL, updates=7)
    assert Demo(episodes=9, test_episodes=8).size == replace(WHOLE, episodes=9, test_episodes=8)


def test_demonstrations_of_a_stopped_demo_are_not_taken_for_all(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(json.dumps({"total_episodes": 12}))
    check_collected(tmp_path, 12)
    with pytest.raises(ValueError, match=r"12 demonstrations instead of 1,000: .* --episodes 12"):
        check_collected(tmp_path, 1000)
