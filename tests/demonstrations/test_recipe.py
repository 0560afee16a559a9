"""Demonstrations that a table or the demo needs: made if missing, and never taken for complete when they are not."""

from pathlib import Path

import pytest

from astra.demonstrations.recipe import Demonstrations, check_number, collected
from astra.paper import TABLES
from tests.paper.tiny_table import write_demonstrations


def test_missing_demonstrations_are_made_and_incomplete_ones_refused(tmp_path: Path) -> None:
    complete = Demonstrations(name="some", command="astra collect ...", episodes=4, collect=write_demonstrations)
    complete.ensure(tmp_path)
    complete.ensure(tmp_path)
    more = Demonstrations(name="some", command="astra collect ...", episodes=1000, collect=write_demonstrations)
    with pytest.raises(ValueError, match=r"4 demonstrations instead of 1,000: delete .*: astra collect \.\.\."):
        more.ensure(tmp_path)


def test_what_must_be_downloaded_is_named(tmp_path: Path) -> None:
    elsewhere = Demonstrations(name="some", command="astra convert ...", needs="download it")
    with pytest.raises(FileNotFoundError, match=r"some is missing: download it, then run: astra convert \.\.\."):
        elsewhere.ensure(tmp_path)


def test_a_dataset_of_another_size_is_refused(tmp_path: Path) -> None:
    data, remedy = write_demonstrations(tmp_path / "data"), "start again; or go on with --episodes {found}"
    check_number(data, 4, remedy)
    with pytest.raises(ValueError, match=r"4 demonstrations instead of 1,000: .* start again; .* --episodes 4"):
        check_number(data, 1000, remedy)


def test_the_printed_command_has_the_options_that_are_collected_with() -> None:
    from astra.environments.tabletop.suite import SUITE, TabletopOptions

    options = TabletopOptions(frames=True, slips=0.2)
    made = collected(SUITE, "mine", 24, ("rotate", "twist"), options)
    assert made.command == (
        "astra collect tabletop --episodes 24 --frames --slips 0.2 --output data/mine --tasks rotate twist"
    )
    assert collected(SUITE, "mine", 24).command == "astra collect tabletop --episodes 24 --output data/mine"
    assert collected(SUITE, "mine", 24, needs="install it").collect is None


@pytest.mark.parametrize("name", TABLES)
def test_every_table_knows_how_its_demonstrations_are_made(name: str) -> None:
    for scale, settings in TABLES[name]().settings.items():
        demonstrations = settings().demonstrations
        assert f"data/{demonstrations.name}" in demonstrations.command
        assert demonstrations.collect is not None or demonstrations.needs, scale
