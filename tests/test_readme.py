"""The README tells the truth, in 130 lines at most."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.source_map import layers

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 130


def test_the_tree_lists_every_folder_in_reading_order() -> None:
    block = re.search(r"```\nsrc/astra/\n(.*?)```", README, flags=re.DOTALL)
    assert block is not None
    listed = re.findall(r"^  ([a-z_]+)(?:/|\.py) +\S", block[1], flags=re.MULTILINE)
    entries = {path.stem for path in (REPOSITORY / "src/astra").iterdir() if path.is_dir() or path.suffix == ".py"}
    entries = {name for name in entries if not name.startswith("__")}
    assert set(listed) == entries
    layer = {name: number for number, row in enumerate(layers()) for name in row}
    assert [layer[name] for name in listed] == sorted(layer[name] for name in listed)


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE))
    assert named
    assert named <= set(targets)


@pytest.mark.simulator
def test_a_checkpoint_acts_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gym_pusht")
    import torch

    from astra.environments.pusht.environment import PushTConfig
    from astra.policies.astra import AstraConfig
    from astra.policies.checkpoint import save_policy
    from astra.trajectory import Statistics, VectorStatistics

    def unit(size: int) -> VectorStatistics:
        ones = torch.ones(size)
        return VectorStatistics(mean=256 * ones, std=100 * ones, min=0 * ones, max=512 * ones)

    monkeypatch.chdir(tmp_path)
    told = ("push the T to the center", "push the T to the lower right")
    spec = replace(PushTConfig().build().spec_of_trajectories, instructions=told)
    statistics = Statistics(states={name: unit(size) for name, size in spec.states.items()}, actions=unit(2))
    save_policy(
        AstraConfig(layers=1, heads=1, width=16, window=1).build(spec, statistics), Path("pretrained/pusht-expert")
    )
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), found)
    assert found["action"].shape == (1, 2)
    assert torch.isfinite(found["action"]).all()
    assert f'policy.start(["{found["environment"].instruction}"]' in block, "the reward is that of what was told"
