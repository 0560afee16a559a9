"""Two processes, connected by gloo, do the same as one."""

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from astra.policies.checkpoint import load_policy, load_tensors
from tests.training.with_gradient import with_gradient

HERE = Path(__file__).parent
FOLDERS = [str(HERE), str(HERE.parent / "evaluation")]
"""Folders of the policy and the environment that `launched` imports."""


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """Import `launched`, for a run of this process alone, and take back what it adds to the list of policies."""
    import astra.policies

    with pytest.MonkeyPatch.context() as patch:
        for folder in FOLDERS:
            patch.syspath_prepend(folder)
        patch.setattr(astra.policies, "POLICIES", dict(astra.policies.POLICIES))
        yield importlib.import_module("launched")


@pytest.fixture(scope="module")
def two(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run everything in `launched` in two processes, and return their folder."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("begun-by-one", "begun-by-one-sharded"):
        script.interrupt(folder / name)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    shared["PYTHONPATH"] = os.pathsep.join([*FOLDERS, *filter(None, [os.environ.get("PYTHONPATH")])])
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "launched.py"), str(folder)],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        for rank, process in enumerate(started):
            output, _ = process.communicate(timeout=240)
            (folder / f"output.{rank}").write_text(output)
    finally:
        for process in started:
            process.kill()
    assert (folder / "odd.1").exists(), (folder / "output.0").read_text() + (folder / "output.1").read_text()
    assert "Warning" not in (folder / "output.0").read_text()
    (folder / "codes").write_text(" ".join(str(process.returncode) for process in started))
    return folder


@pytest.fixture(scope="module")
def one(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the same in this process alone, and return the folder."""
    folder = tmp_path_factory.mktemp("one")
    script.run(folder / "whole")
    script.run(folder / "astra", script.ASTRA)
    script.evaluate_walker(folder / "eval")
    return folder


def assert_same_run(first: Path, second: Path) -> None:
    for name in ("policy/model.safetensors", "training_state/weights.safetensors"):
        one, other = (load_tensors(folder / "checkpoints/last" / name) for folder in (first, second))
        assert one.keys() == other.keys()
        for key in one.keys() - {"seen"}:  # a count of forward passes, which micro-batches multiply
            here, there = (with_gradient(key, tensors[key]) for tensors in (one, other))
            torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-5, msg=lambda text, key=key: key + text)
    one, other = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (first, second))
    for line, line2 in zip(map(json.loads, one), map(json.loads, other), strict=True):
        assert line.keys() == line2.keys()
        for name in line.keys() & {"train/loss", "validation/loss", "train/gradient_norm"}:
            assert line[name] == pytest.approx(line2[name], rel=1e-5), name


@pytest.mark.parametrize("name", ["whole", "parts", "sharded"])
def test_two_processes_train_the_policy_that_one_trains_on_the_same_batches(one: Path, two: Path, name: str) -> None:
    assert_same_run(one / "whole", two / name)


@pytest.mark.parametrize("name", ["astra", "sharded-astra"])
def test_weights_without_gradient_do_not_stop_two_processes(one: Path, two: Path, name: str) -> None:
    assert_same_run(one / "astra", two / name)


def test_two_processes_train_by_contrast_alike_with_weights_copied_or_sharded(two: Path) -> None:
    """Negatives are drawn in each process, so one process draws others."""
    assert_same_run(two / "contrastive", two / "sharded-contrastive")
    one, other = (
        load_tensors(two / name / "checkpoints/last/training_state/contrastive.safetensors")
        for name in ("contrastive", "sharded-contrastive")
    )
    assert one.keys() == {"head.linear.weight", "head.linear.bias"}
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["begun-by-one", "begun-by-one-sharded"])
def test_two_processes_continue_a_run_of_one_as_if_nothing_had_happened(one: Path, two: Path, name: str) -> None:
    assert_same_run(one / "whole", two / name)


@pytest.mark.parametrize("name", ["begun-by-two", "begun-by-two-sharded"])
def test_one_process_continues_a_run_of_two(script: ModuleType, one: Path, two: Path, name: str) -> None:
    assert (two / name / "checkpoints/last").resolve().name == "000003"
    script.run(two / name, resume=True)
    assert_same_run(one / "whole", two / name)


def test_two_processes_leave_the_same_files_as_one(one: Path, two: Path) -> None:
    for name in ("whole", "eval"):
        there, here = ({path.relative_to(f / name) for path in (f / name).rglob("*")} for f in (one, two))
        assert there == here
    assert load_policy(two / "whole").config.width == 8


def test_two_processes_evaluate_like_one(one: Path, two: Path) -> None:
    there, here = (json.loads((folder / "eval/eval_info.json").read_text()) for folder in (one, two))
    assert here["seeds"] == there["seeds"] == [0, 1, 2, 3, 4]
    assert here["episodes"] == there["episodes"]
    assert here["per_task"] == there["per_task"]
    assert [(two / output).read_text() for output in ("share.0", "share.1")] == ["[0, 1, 2]", "[3, 4]"]


def test_an_error_of_one_process_is_raised_in_all(two: Path) -> None:
    told = {
        name: [(two / f"{name}.{rank}").read_text() for rank in (0, 1)]
        for name in ("claim", "everywhere", "odd", "muon")
    }
    assert "holds another run" in told["claim"][0]
    assert told["claim"][0].startswith("ValueError('")
    assert told["claim"][1].startswith("OtherProcessError('stopped because process 0 failed: ValueError: ")
    assert told["everywhere"] == [
        "OtherProcessError('stopped because process 1 failed: ValueError: no room here')",
        "ValueError('no room here')",
    ]
    assert all("training.batch_size=7 cannot be split over 2 processes" in text for text in told["odd"])
    assert all("--shard splits every matrix over the processes" in text for text in told["muon"])


def test_a_process_that_fails_in_an_update_does_not_leave_the_other_waiting(two: Path) -> None:
    assert "the disk of this process is gone" in (two / "output.1").read_text()
    assert (two / "codes").read_text() == "1 1"


def test_sharding_over_one_process_and_accelerates_own_sharding_are_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="--shard needs several processes, got one"):
        script.run(tmp_path / "alone", shard=True)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="launch without --use_fsdp, and train with --shard"):
        script.run(tmp_path / "fsdp")
