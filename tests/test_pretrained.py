"""The trained policy in the clone is small, documented, and does what its card says."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "pretrained" / "pusht-expert"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="a source distribution has no pretrained policy")


def test_it_is_a_policy_and_its_card_and_nothing_else() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.name != "eval"}
    assert set(files) == {"README.md", "config.json", "model.safetensors", "statistics.safetensors"}
    assert sum(files.values()) < 6e6


def test_its_card_has_data_command_seed_numbers_and_license() -> None:
    card = (FOLDER / "README.md").read_text()
    for section in ("**Data.**", "**Command.**", "seed 0", "**Machine.**", "**Intended use.**", "**License.**"):
        assert section in card
    assert card.count("| 100 |") == 2  # this policy, told the right and the other goal


@pytest.mark.simulator
def test_it_does_what_it_is_told(tmp_path: Path) -> None:
    pytest.importorskip("gym_pusht")
    from astra.environments.pusht.suite import SUITE
    from astra.policies.checkpoint import load_policy
    from astra.suites.config import EvaluationConfig
    from astra.suites.evaluate_suite import evaluate_suite

    played = EvaluationConfig(episodes=2, agents=("policy", "swapped"), videos=0)
    found = evaluate_suite(load_policy(FOLDER), SUITE, tmp_path, played)
    told, other = (found[agent].summary.scores["reward"].value for agent in ("policy", "swapped"))
    assert told > 0.7
    assert other < 0.5
