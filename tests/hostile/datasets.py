"""Hostile datasets: opened, inspected and trained on."""

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.hostile import damage, json_damage, parquet_damage
from tests.hostile.commands import TINY, judge, must, run
from tests.hostile.isolation import Case, aside
from tests.hostile.verdicts import Outcome
from tests.hostile.watch import Watch

SHAPES = ("vectors", "camera", "objects")
PLAIN = "plain"
"""Ending of the name of a dataset without Astra's checksums, as other programs write them."""


def prepare(folder: Path) -> Outcome:
    """Write the datasets that are damaged later, and what they hold."""
    for shape in SHAPES:
        _write(folder / shape, shape)
        names = [shape]
        if shape != "objects":
            _write_plain(folder / shape, folder / f"{shape} {PLAIN}")
            names.append(f"{shape} {PLAIN}")
        for name in names:
            _record(folder / name)
            must("inspect", "dataset", str(folder / name))
            if shape != "objects":
                must(
                    "train",
                    "own-data",
                    "--dataset",
                    str(folder / name),
                    "--output",
                    str(folder / "run"),
                    *TINY,
                    *_SHORT,
                )
                shutil.rmtree(folder / "run")
    return Outcome(verdict="accepted")


def cases(prepared: Path, seed: int, count: int) -> list[Case]:
    """Return so many hostile datasets."""
    bases = ["vectors", "camera", "objects", f"vectors {PLAIN}", f"camera {PLAIN}"]
    made = []
    for number in range(count):
        base = bases[number % len(bases)]
        made.append(Case(name=base, check=partial(_check, prepared / base, f"{seed} datasets {number}")))
    return made


def _check(base: Path, seed: str, folder: Path) -> Outcome:
    """Damage a copy of a dataset, use it, and compare what was read with what was written."""
    data = folder / "data"
    shutil.copytree(base, data)
    told = aside(partial(_damage, Random(seed), data), folder)
    watch = Watch(folder, [data])
    inspected = run("inspect", "dataset", str(data))
    if "objects" in base.name:
        used = run("inspect", "dataset", str(data), "--full")
    else:
        used = run("train", "own-data", "--dataset", str(data), "--output", str(folder / "run"), *TINY, *_SHORT)
    outcome = judge([inspected, used], [data, "--validation", "validation"], watch)
    if outcome.verdict not in ("accepted", "refused"):
        return outcome
    if not used.accepted and (folder / "run").exists():
        return Outcome(verdict="leftover", detail=f"{folder / 'run'} stays after {used.error[-500:]}")
    if outcome.verdict == "accepted" and not inspected.spoke and (found := _difference(base, data)):
        if PLAIN not in base.name or _is_seen(told):
            return Outcome(verdict="difference", detail=f"{told}: {found}")
        return Outcome(verdict="accepted", detail="no format can see it")
    return outcome


_SHORT = ("--training.updates", "2", "--training.validation-every", "2", "--training.checkpoint-every", "2")


def _damage(random: Random, data: Path) -> str:
    """Damage a dataset in one way, and return a description."""
    path = random.choice(damage.files_below(data))
    if random.random() < 0.3:  # half of the files are small ones of meta/
        path = random.choice(sorted((data / "data").rglob("*.parquet")))
    if path.suffix == ".json" and random.random() < 0.7:
        return "edit " + json_damage.edit(random, path)
    if path.suffix == ".parquet" and random.random() < 0.55:
        return "edit " + parquet_damage.edit(random, path)
    return damage.damage(random, path)


def _is_seen(told: str) -> bool:
    """Whether a reader can see this kind of damage without checksums: wrong rows can, other bounds cannot."""
    return told.startswith("edit ") and ".parquet" in told


def contents(folder: Path) -> dict[str, Any]:
    """Return everything that is read from a dataset, arrays as checksums."""
    from astra.datasets import LeRobotDataset
    from astra.storage.config_json import to_json

    dataset = LeRobotDataset.open(folder)
    return json.loads(
        json.dumps(
            {
                "spec": to_json(dataset.spec),
                "instructions": dataset.instructions,
                "starts": dataset.starts.tolist(),
                "ends": dataset.ends.tolist(),
                "columns": {name: _digest(values) for name, values in sorted(dataset.columns.items())},
                "prompts": [_prompt(dataset.episode(index).pictures) for index in range(len(dataset))],
            }
        )
    )


def _difference(base: Path, data: Path) -> str:
    """Return the parts in which what is read differs from what was written."""
    written = json.loads(base.with_name(f"{base.name}.json").read_text())
    try:
        read = contents(data)
    except ValueError as error:
        return f"accepted, and then refused: {error}"
    different = [name for name in written if written[name] != read[name]]
    return "; ".join(f"{name}: {written[name]!s:.300} became {read[name]!s:.300}" for name in different)


def _record(folder: Path) -> None:
    folder.with_name(f"{folder.name}.json").write_text(json.dumps(contents(folder)))


def _prompt(pictures: Any) -> dict[str, Any]:
    return {
        f"{name} {view} {part}": _digest(values)
        for name, views in pictures.items()
        for view, parts in views.items()
        for part, values in parts.items()
    }


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _write(folder: Path, shape: str) -> None:
    """Write six episodes of a robot with two state columns, a camera, or objects and pictured prompts."""
    from astra.datasets import DatasetWriter, Episode
    from astra.trajectory import ActionSpec

    random = np.random.default_rng(0)
    views = {"top": (64, 96)} if shape == "objects" else None
    actions = ActionSpec(names=("x", "y"), low=(-4.0, -4.0), high=(4.0, 4.0))
    with DatasetWriter(folder, fps=10.0, actions=actions, views=views, robot_type="arm") as writer:
        for number in range(6):
            length = 9 + number
            columns: dict[str, np.ndarray] = {
                "observation.state": random.standard_normal((length, 3), dtype=np.float32),
                "observation.gripper": random.standard_normal((length, 1), dtype=np.float32),
                "action": random.standard_normal((length, 2), dtype=np.float32),
            }
            pictures = {}
            instruction = ("go left", "go right")[number % 2]
            if shape == "camera":
                columns["observation.image"] = random.integers(0, 256, (length, 12, 16, 3), dtype=np.uint8)
            if shape == "objects":
                parts = _objects(random, length, 2).items()
                columns |= {f"observation.objects.top.{part}": values for part, values in parts}
                instruction = "put the {dragged} down"
                pictures = {"dragged": {"top": _objects(random, 1)}}
            writer.add(Episode(instruction=instruction, columns=columns, pictures=pictures, fps=10.0))


def _objects(random: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    return {
        "crops": random.integers(0, 256, (*shape, 32, 32, 3), dtype=np.uint8),
        "boxes": random.random((*shape, 4), dtype=np.float32),
        "valid": np.ones(shape, dtype=bool),
    }


def _write_plain(source: Path, target: Path) -> None:
    """Copy a dataset without checksums and without what Astra adds to the format."""
    import pyarrow.parquet as pq

    shutil.copytree(source, target)
    for path in target.rglob("*.parquet"):
        pq.write_table(pq.ParquetFile(path).read(), path)
    for checksum in target.rglob("*.sha256"):
        checksum.unlink()
    path = target / "meta/info.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in info.items() if name != "astra"}, indent=4))
