"""Hostile checkpoints, run folders and kept results: inspected, reported, evaluated and resumed."""

import gzip
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.hostile import damage, json_damage, tensor_damage
from tests.hostile.commands import TINY, Ran, judge, must, run
from tests.hostile.isolation import Case, aside
from tests.hostile.verdicts import Outcome
from tests.hostile.watch import Watch

LENGTH = ("--training.updates", "4", "--training.checkpoint-every", "2", "--training.validation-every", "2")
LONGER = ("--resume", "--training.updates", "6")
SHORT = ("--suite", "pusht", "--episodes", "1", "--max-timesteps", "2", "--num-envs", "1", "--agents", "policy")
RESULTS = Path(__file__).parents[2] / "results" / "table1-cpu"
"""Results that lie in the repository."""


def prepare(folder: Path) -> Outcome:
    """Train and evaluate a run, extend a copy of it, and record what both hold."""
    from tests.cli.test_pipeline import write_demonstrations

    base = folder / "run"
    data = write_demonstrations(folder / "data")
    must("train", "pusht-expert", "--dataset", str(data), "--output", str(base), *TINY, *LENGTH)
    must("evaluate", str(base), *SHORT, "--videos", "1")
    must("report", str(base), "--held-out", "1")
    shutil.copytree(base, folder / "longer", symlinks=True)
    must("train", "--output", str(folder / "longer"), *LONGER)
    shutil.copytree(RESULTS / "vima" / "0", folder / "kept" / "table1-cpu" / "vima" / "0")
    record = {"policy": policy_of(base), "longer": progress_of(folder / "longer"), "results": results_of(base)}
    (folder / "record.json").write_text(json.dumps(record))
    return Outcome(verdict="accepted")


def cases(prepared: Path, seed: int, count: int) -> list[Case]:
    """Return so many hostile run folders; every tenth is a folder of kept results."""
    kinds = {number: "kept results" if number % 10 == 9 else "run" for number in range(count)}
    checks = {"run": _check_run, "kept results": _check_kept}
    return [
        Case(name=kind, check=partial(checks[kind], prepared, f"{seed} runs {number}"))
        for number, kind in kinds.items()
    ]


def _check_run(prepared: Path, seed: str, folder: Path) -> Outcome:
    """Damage a copy of a run, use it in every way, and compare with the run itself."""
    copy = folder / "run"
    shutil.copytree(prepared / "run", copy, symlinks=True)
    random = Random(seed)
    path = _choose(random, copy)
    told = aside(partial(_damage, random, path), folder)
    watch = Watch(folder)
    record = json.loads((prepared / "record.json").read_text())
    ran, read = [], {}
    if "checkpoints" in path.parts:
        ran.append(run("inspect", "checkpoint", str(copy)))
        read["policy"] = _silent(ran[-1]) and policy_of(copy)
        ran.append(run("evaluate", str(copy), *SHORT, "--videos", "0", "--output", str(folder / "evaluation")))
    else:  # drawing takes seconds
        ran.append(run("report", str(copy), "--held-out", "0"))
        read["results"] = _silent(ran[-1]) and results_of(copy)
        if ran[-1].accepted and "<script>alert" in (copy / "report.html").read_text():
            return Outcome(verdict="escape", detail="a script in the report")
    ran.append(run("train", "--output", str(copy), *LONGER))
    read["longer"] = _silent(ran[-1]) and progress_of(copy)
    outcome = judge(ran, [folder], watch)
    if outcome.verdict not in ("accepted", "refused"):
        return outcome
    for name, found in read.items():
        if name == "results" and found and not (copy / "eval" / "eval_info.json").exists():
            record[name][1] = None  # an evaluation may be removed
        if found and found != record[name] and "metadata" not in told:
            return Outcome(verdict="difference", detail=f"{name}: {_first_difference(record[name], found)}")
    return outcome


def _check_kept(prepared: Path, seed: str, folder: Path) -> Outcome:
    """Damage a copy of kept results and write the table from them."""
    kept = folder / "kept"
    shutil.copytree(prepared / "kept", kept)
    random = Random(seed)
    path = random.choice(damage.files_below(kept))
    compressed = path.suffix == ".gz" and random.random() < 0.5
    aside(partial(_edit_compressed if compressed else _damage, random, path), folder)
    watch = Watch(folder)
    written = run("compare", "table1", "--only-report", "--results", str(kept))
    return judge([written], [kept], watch)


def _silent(ran: Ran) -> bool:
    return ran.accepted and not ran.spoke


def _choose(random: Random, copy: Path) -> Path:
    """Choose the file of a run that is damaged."""
    group = random.choices(["policy", "training_state", "run", "anything"], [4, 3, 3, 1])[0]
    if group == "run":
        return random.choice([copy / "config.json", copy / "metrics.jsonl", copy / "eval" / "eval_info.json"])
    newest = copy / "checkpoints" / "000004"
    return random.choice(damage.files_below(copy if group == "anything" else newest / group))


def _damage(random: Random, path: Path) -> str:
    """Damage a file in one way, and return a description."""
    if path.suffix == ".safetensors" and random.random() < 0.4:
        return tensor_damage.edit(random, path)
    if path.suffix in (".json", ".jsonl") and random.random() < 0.7:
        return json_damage.edit(random, path)
    return damage.damage(random, path)


def _edit_compressed(random: Random, path: Path) -> str:
    """Write other content into a compressed file: too much of it, none, or wrong lists."""
    kind = random.choice(["bomb", "empty object", "short", "deep", "text"])
    content = {
        "bomb": b"[" + b" " * 2**30,
        "empty object": b"{}",
        "short": b'{"episodes": [], "metrics": []}',
        "deep": b"[" * 1_000_000,
        "text": b'{"episodes": "a", "seeds": 3}',
    }[kind]
    path.write_bytes(gzip.compress(content, 1))
    return f"{path.name}: {kind}"


def policy_of(folder: Path) -> dict[str, Any]:
    """Return everything that a policy consists of, tensors as checksums."""
    from dataclasses import asdict

    from astra.policies.checkpoint import load_policy
    from astra.storage.config_json import to_json

    policy = load_policy(folder)
    statistics = {
        "states": {name: _numbers(asdict(values)) for name, values in policy.statistics.states.items()},
        "actions": _numbers(asdict(policy.statistics.actions)),
    }
    weights = {name: _digest(tensor) for name, tensor in policy.state_dict().items()}
    described = {"config": to_json(policy.config), "spec": to_json(policy.spec), "decoding": str(policy.decoding)}
    return json.loads(json.dumps({**described, "statistics": statistics, "weights": weights}))


def progress_of(folder: Path) -> dict[str, Any]:
    """Return what a run has reached: weights and moments of its newest checkpoint, and its losses."""
    last = (folder / "checkpoints" / "last").resolve()
    tensors = {
        str(path.relative_to(last)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(last.rglob("*.safetensors"))
    }
    state = json.loads((last / "training_state" / "state.json").read_text())
    state["budget"].pop("seconds")
    for name in [name for name in state if name not in ("format", "budget", "ema_updates", "sampler")]:
        del state[name]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [[line["update"], name, line[name]] for line in lines for name in line if name.endswith("loss")]
    return {"tensors": tensors, "state": state, "losses": losses}


def results_of(folder: Path) -> dict[str, Any]:
    """Return the results that a report shows."""
    from astra.evaluation.eval_info import read_eval_info
    from astra.evaluation.pictures.plots import read_metrics

    curves = read_metrics(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else None
    info = folder / "eval" / "eval_info.json"
    return json.loads(json.dumps([str(curves), read_eval_info(info) if info.exists() else None]))


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if tensor is None else tensor.tolist() for name, tensor in values.items()}


def _digest(tensor: Any) -> str:
    return hashlib.sha256(tensor.contiguous().reshape(-1).numpy().tobytes()).hexdigest()


def _first_difference(expected: Any, found: Any, where: str = "") -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in [*expected, *found]:
            if expected.get(name) != found.get(name):
                return _first_difference(expected.get(name), found.get(name), f"{where}.{name}")
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{where}[{number}]")
    return f"{where}: {expected!s:.200} became {found!s:.200}"
