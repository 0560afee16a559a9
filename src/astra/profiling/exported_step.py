"""Control step of the whole policy (tokenizers, trunk, head, decoding), eager and exported to ONNX Runtime."""

import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from astra.policies.astra import Astra
from astra.policies.sizes import astra_19m
from astra.profiling.control_steps import Step
from astra.profiling.shapes import Shape
from astra.serving.control_step import ControlStep, StepRunner, example_observation
from astra.serving.export import export_program, onnx_program, save_onnx
from astra.trajectory import ActionSpec, Statistics, TrajectorySpec, VectorStatistics

LEFT_OUT = "the exported step was not measured: run pip install '.[export]' in Astra's folder"
INSTRUCTION = "push the red block"


def can_export() -> bool:
    """Whether the extra `export` is installed."""
    return all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def make_policy(shape: Shape) -> Astra:
    """Build an Astra of this shape, with M state vectors of eight numbers."""
    spec = TrajectorySpec(
        states={f"observation.{number}": 8 for number in range(shape.M)},
        actions=ActionSpec(
            names=tuple(str(number) for number in range(shape.N)), low=(-1.0,) * shape.N, high=(1.0,) * shape.N
        ),
        instructions=(INSTRUCTION,),
    )

    def standard(size: int) -> VectorStatistics:
        return VectorStatistics(
            mean=torch.zeros(size), std=torch.ones(size), min=-torch.ones(size), max=torch.ones(size)
        )

    config = replace(
        astra_19m(),
        layers=shape.layers,
        heads=shape.heads,
        width=shape.width,
        language=replace(astra_19m().language, max_tokens=shape.L),
    )
    statistics = Statistics(states={name: standard(8) for name in spec.states}, actions=standard(shape.N))
    return config.build(spec, statistics).eval()


def policy_steps(shape: Shape) -> tuple[Step, Step]:
    """Return the step of the policy and that of ONNX Runtime, after T timesteps of history."""
    policy = make_policy(shape)
    step = ControlStep(policy, shape.T + 1)
    with tempfile.TemporaryDirectory() as folder:
        program = onnx_program(save_onnx(step, export_program(step), Path(folder)))
    state, runner = policy.start([INSTRUCTION], [0]), StepRunner(step, program, INSTRUCTION)
    for t in range(shape.T):
        observation = example_observation(policy, seed=t)
        policy.predict(state, observation)
        runner(observation)
    observation = example_observation(policy, seed=shape.T)

    def eager() -> torch.Tensor:
        state.timestep.fill_(shape.T)
        predicted = policy.predict(state, observation)
        assert predicted is not None
        return policy.head.decode(predicted, replace(policy.decoding, temperature=0.0), [])

    def exported() -> torch.Tensor:
        runner.timestep = shape.T
        return runner(observation)[0]

    return eager, exported
