"""The check of observations: what sensors or a simulator show, against what the policy was trained on.

Every policy and every exported step passes through it before anything is computed, so that a refused observation leaves
the history of the rollout as it was.
"""

import math
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from astra.objects import CROP, Objects
from astra.trajectory import Modality, Observation, Statistics, TrajectorySpec

HARDLY = 1e-3
"""Width of a range, as a share of its largest number, below which a state hardly varies."""
EXECUTED = "previous_action"
"""Name of the executed action in messages."""


def check_observation(
    spec: TrajectorySpec,
    observation: Observation,
    reads: Collection[Modality] | None = None,
    device: torch.device | str = "cpu",
    frame_size: tuple[int, int] | None = None,
    needs: Collection[str] = (),
) -> Observation:
    """Return the observation with the spec's columns, in the spec's order, as the tensors that a policy reads.

    Numbers of every real type, arrays and lists become float32. Frames must be bytes: floats from 0 to 1 would be read
    as black. Columns that the spec does not have are left out, and vectors that an environment lacks become zeros.

    Args:
        spec: Columns of the policy.
        observation: Observation of B environments.
        reads: Modalities that must be there; None: all of the spec.
        device: Device of the policy.
        frame_size: Height and width to which the policy resizes frames, which they may have already; None: frames
            must have the size in the spec.
        needs: State vectors that must be there even if vectors are not read, such as a reference state.

    Raises:
        ValueError: if a column is missing, has another shape or type, or holds a number that is not finite; the message
            names the column, what was got and what was expected.
    """
    executed = _vector(EXECUTED, observation.previous_action, len(spec.actions), None, device)
    B, read = len(executed), get_args(Modality) if reads is None else reads
    vectors = {
        name: _vector(name, observation.states[name], spec.states[name], B, device)
        for name in _present("states", spec.states, observation.states, spec.states if "vectors" in read else needs)
    }
    frames = {
        name: _frame(name, observation.images[name], (B, 3, *spec.images[name]), device, frame_size)
        for name in _present("images", spec.images, observation.images, spec.images if "images" in read else ())
    }
    views = spec.objects.views if spec.objects is not None and spec.objects.max_objects else ()
    objects = {
        name: _view(name, observation.objects[name], B, device)
        for name in _present("objects", views, observation.objects, views if "objects" in read else ())
    }
    present = {name: _flags(f"present[{name!r}]", value, (B,), device) for name, value in observation.present.items()}
    for name in present.keys() & vectors.keys():
        vectors[name] = vectors[name].masked_fill(~present[name][:, None], 0.0)
    _check_finite({**vectors, EXECUTED: executed})
    return Observation(
        states=vectors,
        images=frames,
        previous_action=executed,
        objects=objects,
        present=present,
        action_present=None
        if observation.action_present is None
        else _flags("action_present", observation.action_present, tuple(executed.shape), device),
    )


def warn_of_strange_states(observation: Observation, statistics: Statistics) -> None:
    """Warn once of numbers that lie further outside the range of training than that range is wide.

    Such are degrees where training had radians, or joints in another order. Nothing is refused: a policy may have left
    the places of its demonstrations. Dimensions that hardly varied in training are not looked at, nor are vectors that
    an environment lacks.
    """
    for name, vector in observation.states.items():
        vector = vector[observation.present[name]] if name in observation.present else vector
        least, most = statistics.states[name].min.to(vector), statistics.states[name].max.to(vector)
        if ((vector >= least) & (vector <= most)).all():
            continue  # as nearly always: the rest costs twice as much
        width = most - least
        varied = width > HARDLY * torch.maximum(least.abs(), most.abs())
        strange = ((vector < least - width) | (vector > most + width)).any(0) & varied
        if strange.any():
            n = int(strange.nonzero()[0])
            warnings.warn(
                f"{name}: dimension {n} (from 0) is far outside the range of training, {least[n]:.4g} to "
                f"{most[n]:.4g}: are units and order those of the training data?",
                stacklevel=4,
            )


def check_finite_outputs(outputs: Float[Tensor, "B *more"]) -> None:
    """Check what a policy computed before it becomes an action.

    Raises:
        ValueError: if an output is NaN or infinite.
    """
    if not _all_finite(outputs):
        envs = (~torch.isfinite(outputs)).flatten(1).any(1).nonzero()[:, 0].tolist()
        raise ValueError(
            f"the policy computed NaN or infinite numbers for the environments {envs} of {len(outputs)}, expected "
            f"finite ones: no action is returned. Stop the robot; if it happens again, the weights are damaged or "
            f"training diverged: load another checkpoint"
        )


def _present(kind: str, wanted: Iterable[str], given: Mapping[str, Any], required: Iterable[str]) -> list[str]:
    """Return the wanted names that are given; those that are required must be."""
    names = [name for name in wanted if name in given]
    if missing := [name for name in required if name not in given]:
        raise ValueError(
            f"the observation lacks {', '.join(missing)}: got {kind} with {', '.join(given) or 'no column'}, expected "
            f"{', '.join(required)}, as in the data of the policy"
        )
    return names


def _vector(name: str, value: Any, size: int, B: int | None, device: torch.device | str) -> Float[Tensor, "B size"]:
    """Return a vector of each environment as float32."""
    fits = isinstance(value, Tensor) and value.ndim == 2 and value.shape[1] == size and B in (None, len(value))
    if fits and not value.is_complex():
        return value.to(device, torch.float32)
    expected = f"numbers of shape ({'B' if B is None else B}, {size})"
    if isinstance(value, Tensor) and value.is_complex():
        raise ValueError(f"column {name} holds {value.dtype}, expected {expected}")
    try:
        vector = torch.as_tensor(value, dtype=torch.float32, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"column {name} holds {_written(value)}, expected {expected} ({error})") from error
    if vector.ndim != 2 or vector.shape[1] != size or vector.shape[0] != (vector.shape[0] if B is None else B):
        hint = ": add the dimension of the environments with [None]" if vector.shape == (size,) else ""
        if vector.ndim == 2 and vector.shape[1] == size:
            hint = f": {EXECUTED} has {B} environments, and every column needs as many"
        raise ValueError(f"column {name} has the shape {tuple(vector.shape)}, expected {expected}{hint}")
    return vector


def _flags(name: str, value: Any, shape: tuple[int, ...], device: torch.device | str) -> Bool[Tensor, "*shape"]:
    """Return flags of each environment."""
    flags = torch.as_tensor(value, device=device)
    if flags.dtype != torch.bool or flags.shape != shape:
        raise ValueError(
            f"{name} has {flags.dtype} of shape {tuple(flags.shape)}, expected torch.bool of shape {shape}"
        )
    return flags


def _frame(
    name: str,
    value: Any,
    shape: tuple[int, int, int, int],
    device: torch.device | str,
    frame_size: tuple[int, int] | None,
) -> UInt8[Tensor, "B 3 height width"]:
    """Return the frames of one camera as bytes, of the given shape or resized already to what the policy reads."""
    if isinstance(value, Tensor) and value.dtype == torch.uint8 and value.shape == shape:
        return value.to(device)
    expected = f"uint8 from 0 to 255 of shape {shape}"
    try:
        frame = torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"column {name} holds {_written(value)}, expected {expected} ({error})") from error
    if frame.dtype != torch.uint8:
        remedy = (
            "values from 0 to 1 become bytes by (255 * frame).round().to(torch.uint8)"
            if frame.is_floating_point()
            else "values from 0 to 255 become bytes by frame.to(torch.uint8)"
        )
        raise ValueError(f"column {name} holds {_dtype(frame)}, expected {expected}: {remedy}")
    if frame.shape != shape and frame.shape != (*shape[:2], *(frame_size or shape[2:])):
        B, channels, height, width = shape
        hint = ": resize or crop the frames as those of the dataset"
        if frame.shape == (B, height, width, channels):
            hint = ": move the channels to the front with frame.permute(0, 3, 1, 2)"
        elif frame.shape == shape[1:]:
            hint = ": add the dimension of the environments with frame[None]"
        elif frame.shape[1:] == shape[1:]:
            hint = f": {EXECUTED} has {B} environments, and every column needs as many"
        raise ValueError(f"column {name} has the shape {tuple(frame.shape)}, expected {expected}{hint}")
    return frame


def _view(name: str, view: Objects, B: int, device: torch.device | str) -> Objects:
    """Return the objects of one view; those of hidden objects may be any numbers."""
    count = view.valid.shape[-1] if view.valid.ndim else 0
    wanted = {"crops": (torch.uint8, (B, count, CROP, CROP, 3)), "boxes": (torch.float32, (B, count, 4))}
    wanted["valid"] = (torch.bool, (B, count))
    parts: dict[str, Tensor] = {"crops": view.crops, "boxes": view.boxes, "valid": view.valid}
    for part, (dtype, shape) in wanted.items():
        value = parts[part]
        same_kind = value.is_floating_point() if part == "boxes" else value.dtype == dtype
        if not same_kind or value.shape != shape:
            raise ValueError(
                f"column {name}.{part} holds {_dtype(value)} of shape {tuple(value.shape)}, expected "
                f"{str(dtype).removeprefix('torch.')} of shape {shape}"
            )
        parts[part] = value.to(device, dtype)
    if not _all_finite(parts["boxes"][parts["valid"]]):
        raise ValueError(
            f"column {name}.boxes holds NaN or infinite numbers for a visible object, expected finite ones: mark the "
            f"object as invalid if it is hidden"
        )
    return Objects(**parts)


def _check_finite(vectors: Mapping[str, Float[Tensor, "B _"]]) -> None:
    """Check all vectors at once, and look for the column only if one fails."""
    if _all_finite(torch.cat(list(vectors.values()), dim=1)):
        return
    for name, vector in vectors.items():
        for env, dimension in (~torch.isfinite(vector)).nonzero().tolist():
            remedy = "give the action that was executed, zeros at the first timestep"
            if name != EXECUTED:
                remedy = "is the sensor connected? Stop the robot, or repeat the last good observation"
            raise ValueError(
                f"column {name} of environment {env} holds {vector[env, dimension].item()} in dimension {dimension} "
                f"(from 0), expected a finite number: {remedy}"
            )


def _all_finite(numbers: Float[Tensor, "..."]) -> bool:
    """Whether all numbers are finite, by their sum: one pass and one wait for the device."""
    if math.isfinite(numbers.sum().item()):
        return True
    return bool(torch.isfinite(numbers).all())  # finite numbers may have an infinite sum


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _written(value: Any) -> str:
    """Return a short form of anything, for messages."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"
