"""Pretrained encoders from `transformers`, which is imported only when one is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn

_only_local = ContextVar("only_local", default=False)


@contextmanager
def local_files_only(only: bool) -> Iterator[None]:
    """Allow pretrained encoders from this machine only: a folder, or the cache of the Hugging Face hub."""
    token = _only_local.set(only)
    try:
        yield
    finally:
        _only_local.reset(token)


def loading_options() -> dict[str, bool]:
    """Return the options of every `from_pretrained`: code of a model never runs."""
    return {"local_files_only": _only_local.get(), "trust_remote_code": False}


class Frozen:
    """Encoder whose weights never change.

    It is deliberately not an `nn.Module`: the policy does not list its parameters, switch it to training mode or save
    it in checkpoints (which name the folder instead), and copies of the policy, such as its EMA, share it.
    """

    def __init__(self, encoder: nn.Module) -> None:
        """Store the encoder in evaluation mode."""
        self.encoder = encoder.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Frozen":
        """Share the encoder with the copy."""
        return self

    def __call__(self, *inputs: Any, device: torch.device, **named_inputs: Any) -> Any:
        """Encode without gradients; the encoder moves to the device if necessary."""
        with torch.no_grad():
            return self.encoder.to(device)(*inputs, **named_inputs)


def load_pretrained(model_class: Any, name: str, **options: Any) -> Any:
    """Load an encoder with all of its weights.

    Args:
        model_class: A model class of `transformers`.
        name: Folder, or name on the Hugging Face hub.
        options: Further arguments of the model.

    Raises:
        FileNotFoundError: if the model does not exist.
        ValueError: if the checkpoint lacks weights of the encoder, which would silently stay random.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # It warns about unused weights; missing ones are checked below.
    try:
        with explained(name):
            model, info = model_class.from_pretrained(
                name, output_loading_info=True, dtype=torch.float32, **loading_options(), **options
            )
    finally:
        logging.set_verbosity(verbosity)
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(
            f"{name!r} lacks {len(missing)} weights of a {model_class.__name__}, such as {missing[0]!r}: "
            f"download the model again"
        )
    return model


def load_pretrained_config(name: str, *model_types: str) -> Any:
    """Load the configuration of a pretrained model of one of the given types.

    Raises:
        FileNotFoundError: if the model does not exist.
        ValueError: if it is of another type.
    """
    from transformers import AutoConfig

    with explained(name):
        config = AutoConfig.from_pretrained(name, **loading_options())
    if config.model_type not in model_types:
        raise ValueError(f"{name!r} is a model of type {config.model_type!r}, expected {' or '.join(model_types)}")
    return config


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn errors of `transformers` about a model into one message.

    Raises:
        FileNotFoundError: if the model cannot be found.
        ValueError: if it needs code of its own.
    """
    try:
        yield
    except OSError as error:
        place = "in the cache of" if _only_local.get() else "that can be reached on"
        raise FileNotFoundError(
            f"pretrained model {name!r} not found: it is neither a folder with a config.json, nor a model {place} the "
            f"Hugging Face hub; give the path of a downloaded folder"
        ) from error
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"pretrained model {name!r} needs code of its own, which Astra never runs: choose a model that the library "
            f"transformers knows"
        ) from error
