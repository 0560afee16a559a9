"""Damage to JSON files that stay JSON: other types, sizes, numbers and names in any place."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

DEEP = "DEEP"
"""Stands for 100,000 nested lists."""
STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    1e308,
    2**40,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "nan",
    "../../../etc/passwd",
    "/etc/passwd",
    "{0.__class__}",
    "{chunk_index:400000d}",
    "<script>alert(1)</script>",
    "http://127.0.0.1:9/x",
    "a" * 100_000,
    "\x00",
    "é\ud800",
    [],
    {},
    [[]],
    [None],
    [2**40],
    {"": None},
    {"kind": "os.system"},
    {"auto_map": {"AutoModel": "code.Model"}},
    DEEP,
]
"""Values that are put into places where something else is expected."""


def edit(random: Random, path: Path) -> str:
    """Change a JSON file, or one line of a .jsonl file, in one place; return a description."""
    if path.suffix == ".jsonl":
        lines = path.read_text().splitlines()
        number = random.randrange(len(lines))
        text, told = _edited(random, json.loads(lines[number]))
        lines[number] = " ".join(line.strip() for line in text.splitlines())
        path.write_bytes(_bytes("\n".join(lines) + "\n"))
        return f"{path.name}, line {number + 1}: {told}"
    text, told = _edited(random, json.loads(path.read_text()))
    path.write_bytes(_bytes(text))
    return f"{path.name}: {told}"


def _edited(random: Random, content: Any) -> tuple[str, str]:
    content = copy.deepcopy(content)
    places = list(_places(content))
    if not places:
        return _text(random.choice(STRANGE)), "the whole becomes something else"
    parent, key = random.choice(places)
    where = json.dumps(key)
    kind = random.choices(["replace", "nudge", "delete", "rename", "add", "top"], [10, 4, 3, 2, 1, 1])[0]
    if kind == "top":
        value = random.choice(STRANGE)
        return _text(value), f"the whole becomes {_shown(value)}"
    if kind == "nudge":
        where = json.dumps(_nudge(random, places))
        return _text(content), f"{where} is a little different"
    if kind == "delete":
        del parent[key]
        return _text(content), f"{where} is deleted"
    if kind == "rename" and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
        return _text(content), f"{where} is renamed"
    value = random.choice(STRANGE)
    if kind == "add" and isinstance(parent, dict):
        parent["added"] = value
        return _text(content), f"{_shown(value)} is added beside {where}"
    parent[key] = value
    return _text(content), f"{where} becomes {_shown(value)}"


def _nudge(random: Random, places: list[tuple[Any, Any]]) -> Any:
    """Change a number or a text by a little, as a flipped bit does, and return its key."""
    leaves = [(parent, key) for parent, key in places if isinstance(parent[key], int | float | str)]
    parent, key = random.choice(leaves)
    value = parent[key]
    if isinstance(value, str):
        parent[key] = value[:-1] + "z" if value else "z"
    else:
        parent[key] = not value if isinstance(value, bool) else value + (value or 1) * random.choice([-2, 1, 0.01])
    return key


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])


def _text(content: Any) -> str:
    return json.dumps(content, indent=2).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _shown(value: Any) -> str:
    return repr(value)[:30]
