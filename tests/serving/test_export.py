"""The control step, the torch.export program and the ONNX file equal the policy."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from astra.policies.astra import Astra
    from astra.trajectory import Statistics, TrajectorySpec

VARIANTS: dict[str, dict[str, Any]] = {
    "relative": dict(),
    "learned": dict(positions="learned"),
    "window": dict(window=3, chunk_size=2),
    "window of one": dict(window=1),
    "recency, actions hidden": dict(positions="recency", drop_past_actions=1.0, window=3),
    "relative actions": dict(reference_state="observation.state"),
}


def umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def build(name: str, spec: "TrajectorySpec", statistics: "Statistics") -> "Astra":
    from astra.policies.astra import AstraConfig

    policy = AstraConfig(layers=2, heads=2, width=32, **VARIANTS[name]).build(spec, statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    if policy.relative is not None:
        torch.nn.init.normal_(policy.relative.ages)
    return policy


@pytest.mark.parametrize("name", VARIANTS)
def test_the_pure_step_equals_the_policy(name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.serving.control_step import ControlStep
    from astra.serving.export import largest_difference

    policy = build(name, tiny_spec, tiny_statistics)
    step = ControlStep(policy, None if policy.config.window else 40)
    assert largest_difference(step, step)[0] < 1e-5


def test_the_step_acts_with_the_mean_of_the_bins_if_the_policy_does(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.decoding import Decoding
    from astra.serving.control_step import ControlStep, StepRunner, example_observation

    policy = build("relative", tiny_spec, tiny_statistics)
    mode = act(policy)
    policy.decode_with(Decoding(bin_value="mean"))
    step = ControlStep(policy, 8)
    chunk, _ = StepRunner(step, step, tiny_spec.instructions[0])(example_observation(policy))
    torch.testing.assert_close(chunk[:, 0], act(policy))
    assert not torch.allclose(mode, act(policy))


def act(policy: "Astra") -> torch.Tensor:
    from astra.serving.control_step import example_observation

    state = policy.start([policy.spec.instructions[0]], [0])
    return policy.act(state, example_observation(policy))[0]


def test_exported_programs_equal_the_policy(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    from astra.serving.control_step import ControlStep
    from astra.serving.export import export_program, largest_difference, save_program, save_prompts

    step = ControlStep(build("window", tiny_spec, tiny_statistics))
    path = save_program(export_program(step), tmp_path)
    assert largest_difference(step, torch.export.load(path).module())[0] < 1e-5
    save_prompts(step, tiny_spec.instructions, tmp_path)
    described = json.loads((tmp_path / "control_step.json").read_text())
    assert described["timesteps_per_second"] == tiny_spec.fps
    assert described["actions"] == list(tiny_spec.actions.names)
    assert described["timesteps"] == 4
    assert (described["chunk_size"], described["n_action_steps"]) == (2, 1)
    assert described["inputs"]["keys"]["shape"][3] == described["prompt_tokens"] + 4 * (2 + 5)


def test_onnx_without_its_extra_and_a_folder_that_exists_are_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from astra.cli.main import main

    monkeypatch.setattr("astra.serving.export.find_spec", lambda name: None if name == "onnxscript" else object())
    arguments = ["export", str(tmp_path / "no-policy"), "--output", str(tmp_path / "exported"), "--onnx"]
    assert main(arguments) == 2
    assert "which lacks onnxscript here: run pip install '.[export]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "exported").mkdir()
    assert main(arguments) == 2
    assert "exported exists already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 60])
def test_a_full_disk_is_one_message_and_leaves_nothing(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path, blocks: int
) -> None:
    """The limit of file sizes stands in for the disk: no room for a program, or for half of one."""
    from astra.policies.checkpoint import save_policy

    save_policy(build("relative", tiny_spec, tiny_statistics), tmp_path / "policy")
    folder = tmp_path / "out"
    folder.mkdir()
    python = f"{sys.executable} -B -m astra export {tmp_path}/policy --output {folder}/exported --onnx"
    command = ["bash", "-c", f"ulimit -f {blocks}; {python}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("astra: ")
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_the_command_exports_onnx_that_equals_the_policy(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    """In a process of its own: the shape checks of tests wrap functions that the exporter looks into."""
    pytest.importorskip("onnxruntime")
    from astra.policies.checkpoint import save_policy

    save_policy(build("relative", tiny_spec, tiny_statistics), tmp_path / "policy")
    command = [sys.executable, "-m", "astra", "export", str(tmp_path / "policy"), "--timesteps", "30", "--onnx"]
    command += ["--output", str(tmp_path / "exported")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "control_step.onnx: equals the policy" in done.stdout
    assert "torchvision" not in done.stderr
    files = {path.name for path in (tmp_path / "exported").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "exported").iterdir()} == {0o666 & ~umask()}
    assert files == {"control_step.pt2", "control_step.onnx", "prompts.safetensors", "control_step.json"}


def test_timesteps_that_do_not_fit_are_refused(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.serving.control_step import ControlStep

    with pytest.raises(ValueError, match=r"learned positions of this policy end after 141 timesteps"):
        ControlStep(build("learned", tiny_spec, tiny_statistics), 142)
    with pytest.raises(ValueError, match="has a window of 3"):
        ControlStep(build("window", tiny_spec, tiny_statistics), 10)


@pytest.mark.parametrize("name", ["relative", "window", "relative actions"])
def test_the_chunk_of_the_step_begins_with_the_action_of_the_policy(
    name: str, tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.serving.control_step import ControlStep, StepRunner, example_observation

    policy = build(name, tiny_spec, tiny_statistics)
    step = ControlStep(policy, None if policy.config.window else 8)
    runner, state = StepRunner(step, step, tiny_spec.instructions[0]), policy.start([tiny_spec.instructions[0]], [0])
    for t in range(4):
        observation = example_observation(policy, seed=t)
        chunk, _ = runner(observation)
        action, state = policy.act(state, observation)
        torch.testing.assert_close(chunk[:, 0], action)


def test_a_step_with_two_cameras_equals_the_policy(tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics") -> None:
    from astra.policies.astra import AstraConfig
    from astra.serving.control_step import ControlStep
    from astra.serving.export import largest_difference
    from astra.tokenizers.states import StateConfig
    from astra.tokenizers.vision.images import ImageConfig

    spec = replace(tiny_spec, images={"front": (16, 16), "wrist": (16, 16)})
    states = StateConfig(images=ImageConfig(encoder="small", image_size=16))
    policy = AstraConfig(layers=2, heads=2, width=32, states=states).build(spec, tiny_statistics).eval()
    torch.nn.init.normal_(policy.head.weight)
    step = ControlStep(policy, 8)
    assert largest_difference(step, step)[0] < 1e-5


def test_a_step_takes_the_most_likely_bins_where_the_policy_samples(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.decoding import Decoding
    from astra.serving.control_step import ControlStep, StepRunner, example_observation

    policy = build("relative", tiny_spec, tiny_statistics)
    likely = act(policy)
    policy.decode_with(Decoding(temperature=1.0))
    step = ControlStep(policy, 8)
    chunk, _ = StepRunner(step, step, tiny_spec.instructions[0])(example_observation(policy))
    torch.testing.assert_close(chunk[:, 0], likely)


def test_saved_prompts_are_those_of_the_cache(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics", tmp_path: Path
) -> None:
    from astra.policies.checkpoint import load_tensors
    from astra.serving.control_step import ControlStep, initial_cache
    from astra.serving.export import save_prompts

    step = ControlStep(build("window", tiny_spec, tiny_statistics))
    save_prompts(step, tiny_spec.instructions, tmp_path)
    saved, L = load_tensors(tmp_path / "prompts.safetensors"), step.policy.sizes.prompt
    for number, instruction in enumerate(tiny_spec.instructions):
        valid, keys, values = initial_cache(step, instruction)
        assert torch.equal(saved[f"{number}.valid"].bool(), valid)
        assert torch.equal(saved[f"{number}.keys"], keys[:, :, :, :L])
        assert torch.equal(saved[f"{number}.values"], values[:, :, :, :L])


@pytest.mark.parametrize("options", [dict(trajectory_attention=False), dict(action_queries=False)])
def test_an_astra_without_its_two_ideas_is_not_exported(
    options: dict[str, Any], tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.policies.astra import AstraConfig
    from astra.serving.control_step import ControlStep

    policy = AstraConfig(layers=2, heads=2, width=32, **options).build(tiny_spec, tiny_statistics)
    with pytest.raises(ValueError, match="only an Astra with trajectory attention and action queries"):
        ControlStep(policy, 8)


def test_a_program_that_differs_at_a_later_step_only_is_found(
    tiny_spec: "TrajectorySpec", tiny_statistics: "Statistics"
) -> None:
    from astra.serving.control_step import ControlStep
    from astra.serving.export import largest_difference

    step = ControlStep(build("relative", tiny_spec, tiny_statistics), 8)

    def program(timestep: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        chunk, predicted, *cache = step(timestep, *rest)
        return chunk, predicted * (1 + (int(timestep) == 5)), *cache

    assert largest_difference(step, program)[0] > 0.5
