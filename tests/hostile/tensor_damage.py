"""Wrong content in files of tensors that are valid in themselves, and headers that are not."""

import json
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from astra.storage.json_checksum import checked_json


def edit(random: Random, path: Path) -> str:
    """Rewrite a file of tensors with one thing wrong in it, and return a description.

    Half of the time no JSON of the checkpoint records checksums, as in those of older versions.
    """
    if random.random() < 0.3:
        return f"{path.name}: {_bad_header(random, path)}"
    tensors = load_file(path)
    name = random.choice(sorted(tensors))
    kind = random.choice(["NaN", "infinite", "type", "shape", "missing", "added", "renamed", "integers", "empty"])
    tensor = tensors[name].clone()
    if kind in ("NaN", "infinite"):
        tensor.view(-1)[random.randrange(tensor.numel())] = float("nan" if kind == "NaN" else "inf")
        tensors[name] = tensor
    elif kind == "type":
        tensors[name] = tensor.to(random.choice([torch.float64, torch.float16, torch.bfloat16]))
    elif kind == "shape":
        tensors[name] = tensor[None].contiguous()
    elif kind == "missing":
        del tensors[name]
    elif kind == "added":
        tensors["added.weight"] = tensor
    elif kind == "renamed":
        tensors[f"{name}x"] = tensors.pop(name)
    elif kind == "integers":
        tensors[name] = torch.zeros_like(tensor, dtype=torch.int64)
    elif kind == "empty":
        tensors = {}
    save_file(tensors, path)
    if random.random() < 0.5:
        _forget_checksums(path.parent.parent)
    return f"edit {path.name}: {kind} {name}"


def _forget_checksums(checkpoint: Path) -> None:
    for path in checkpoint.rglob("*.json"):
        content = json.loads(path.read_text())
        if "checksums" in content:
            path.write_text(checked_json(content | {"checksums": {}}))


def _bad_header(random: Random, path: Path) -> str:
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    body = content[8 + size :]
    name = random.choice([key for key in header if key != "__metadata__"])
    kind = random.choice(["length", "offsets", "shape", "overlap", "type", "deep", "metadata", "name"])
    text = None
    if kind == "length":
        path.write_bytes(struct.pack("<Q", random.choice([2**63, 2**40, 0, 5])) + content[8:])
        return "the length of the header"
    if kind == "offsets":
        header[name]["data_offsets"] = random.choice([[0, 2**62], [-8, 0], [8, 0], ["a", "b"], []])
    elif kind == "shape":
        header[name]["shape"] = random.choice([[2**40, 2**40], [-1], [0], ["4"], []])
    elif kind == "overlap":
        header[name]["data_offsets"] = [0, header[name]["data_offsets"][1] - header[name]["data_offsets"][0]]
    elif kind == "type":
        header[name]["dtype"] = random.choice(["F64", "OBJECT", "", 3])
    elif kind == "deep":
        text = "[" * 100_000 + "]" * 100_000
    elif kind == "metadata":
        header["__metadata__"] = random.choice([{"sha256": "0"}, {"sha256": 3}, [], {"format": "pickle"}])
    elif kind == "name":
        header["../" * 5 + name] = header.pop(name)
    encoded = (json.dumps(header) if text is None else text).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)
    return f"the header: {kind}"
