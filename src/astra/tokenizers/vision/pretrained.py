"""Pretrained encoders from `transformers`, which is imported only where one is used."""

from typing import Any

import torch
from torch import nn


class Frozen:
    """An encoder whose weights never change.

    It is no `nn.Module`, and that is the point: the policy around it does not list its parameters, does not switch it
    to training mode and does not write it into checkpoints (which name the folder instead), and copies of the policy,
    such as the averaged one, share it.
    """

    def __init__(self, encoder: nn.Module) -> None:
        """Hold the encoder in evaluation mode."""
        self.encoder = encoder.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Frozen":
        """Share the encoder with the copy."""
        return self

    def __call__(self, *inputs: Any, device: torch.device, **named_inputs: Any) -> Any:
        """Encode without gradient on a device, to which the encoder moves when it is elsewhere."""
        with torch.no_grad():
            return self.encoder.to(device)(*inputs, **named_inputs)


def load_pretrained(model_class: Any, name: str, **options: Any) -> Any:
    """Load an encoder with all of its weights.

    Args:
        model_class: a model of `transformers`.
        name: a folder, or a name on the Hugging Face hub.
        options: further arguments of the model.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if the model lacks weights of the encoder, which would silently stay random.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # It reports the parts that an encoder leaves out; what it lacks is checked below.
    try:
        model, info = model_class.from_pretrained(name, output_loading_info=True, dtype=torch.float32, **options)
    except OSError as error:
        raise no_pretrained(name) from error
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"{name!r} holds no weights for {len(missing)} parts of a {model_class.__name__}, such as {missing[0]!r}: "
            f"get the model anew"
        )
    return model


def load_pretrained_config(name: str, *model_types: str) -> Any:
    """Load the configuration of a pretrained model that is of one of the types told.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if it is of another type.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name)
    except OSError as error:
        raise no_pretrained(name) from error
    if config.model_type not in model_types:
        raise ValueError(f"{name!r} is a model of type {config.model_type!r}, expected {' or '.join(model_types)}")
    return config


def no_pretrained(name: str) -> FileNotFoundError:
    """Make the error that says where pretrained weights were looked for."""
    return FileNotFoundError(
        f"there is no pretrained model {name!r}: neither a folder with a config.json, nor a name that the Hugging Face "
        f"hub answers to from here; give the path of a downloaded folder"
    )
