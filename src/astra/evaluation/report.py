"""Write a run's results to one self-contained `report.html`, which opens offline."""

import base64
import json
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from astra.evaluation.eval_info import FILE_NAME, group_rates, read_eval_info, read_summary
from astra.evaluation.held_out_info import BASELINES, POLICY, episodes_of, read_held_out
from astra.evaluation.held_out_info import FILE_NAME as HELD_OUT_FILE
from astra.evaluation.held_out_info import FOLDER as HELD_OUT
from astra.evaluation.json_shape import read_json
from astra.evaluation.page import png_uri, render_page
from astra.evaluation.pictures.plots import Curves, curves_of, learning_curves, result_bars
from astra.evaluation.seeds import seed_runs
from astra.evaluation.success import Estimate
from astra.evaluation.verdict import unbeaten
from astra.storage.atomic import write_atomic
from astra.storage.json_file import check_size
from astra.storage.metrics_file import read_metrics_lines, warn_of_missing_lines
from astra.storage.what_is import what_is

EACH = 2
"""Number of successes, and of failures, of the policy that are shown as videos; other agents have one video."""
FIRST_AGENTS = ("policy", "no-op", "expert")
"""Agents that come first, in this order."""
WITHOUT_POLICY = ("no-op", "expert")
"""Agents whose results do not depend on a checkpoint."""
BESIDE, PAIRS = "beside", "pairs.json"
"""Folder under `eval/` with videos of two policies side by side, and the file that describes them."""
PAIR = {
    "video": str,
    "strips": [str],
    "agents": [str],
    "success": [bool],
    "task": str,
    "level": str,
    "seed": int,
    "instruction": str,
}
"""Shape of an entry of that file."""
KINDS = {".png": "image/png", ".mp4": "video/mp4"}
"""Files that a report embeds."""
LARGEST = 64 * 2**20
"""Largest file that a report embeds, in bytes."""
TOKENS = (
    "Rows attend to columns. p: prompt, s: state, q: action query, a: action. In s₂,₁ the first number is the token "
    "within its part and the second the timestep, both counted from 1; only the last token of each part is labeled."
)
PICTURES = {
    "mask": f"Attention mask. {TOKENS}",
    "attention": f"Attention weights of the trained policy; brighter is more. {TOKENS}",
}
"""Captions of pictures under `eval/` and `held_out/`, by the beginning of the file's name."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    The report shows config.json, metrics.jsonl, eval/eval_info.json (the policy), eval/NAME/eval_info.json (no-op,
    expert, swapped, ...), their videos and film strips, pictures eval/*.png, held_out/held_out.json and
    eval/beside/OTHER/pairs.json with their files. Missing parts are left out. A result that does not beat its controls
    is marked at the top. In a folder with one run per training seed, the curves are those of all seeds; configuration,
    videos and pictures are those of the first.

    Only files inside the run folder are read: a link or a path that leads out of it is refused.

    Raises:
        FileNotFoundError: if the folder holds neither a configuration, nor metrics, nor an evaluation.
        ValueError: if a file is damaged, or lies outside the run folder.
    """
    seeds = seed_runs(run_folder)
    example = next(iter(seeds.values()), run_folder)
    config_file = inside(run_folder, example / "config.json")
    config = read_json(config_file, {}, "copy the run's own config.json") if config_file.exists() else {}
    curves = [found for run in seeds.values() or [run_folder] if (found := _curves(run_folder, run, config))]
    infos = _evaluations(run_folder, run_folder)
    held_out_file = inside(run_folder, f"{HELD_OUT}/{HELD_OUT_FILE}")
    held_out = read_held_out(held_out_file) if held_out_file.exists() else None
    if not (config or curves or infos):
        expected = f"it has no config.json, metrics.jsonl or eval/{FILE_NAME}"
        raise FileNotFoundError(f"{run_folder} is not the folder of a run: {what_is(run_folder) or expected}")
    summaries = {agent: read_summary(info) for agent, (_, info) in infos.items()}
    html = render_page(
        files("astra.evaluation").joinpath("report.html.jinja").read_text(),
        {"embed": partial(_data_uri, run_folder)},
        name=_name(run_folder.resolve()),
        facts=_facts(config, [info for _, info in infos.values()]),
        seeds=list(seeds),
        config=json.dumps(config, indent=2) if config else "",
        scores=list(dict.fromkeys(name for summary in summaries.values() for name in summary.scores)),
        summaries=summaries,
        rates=_rates({agent: info for agent, (_, info) in infos.items()}),
        infos={agent: info for agent, (_, info) in infos.items()},
        bars=png_uri(result_bars(summaries)) if summaries else "",
        curves=png_uri(learning_curves(*curves)) if curves else "",
        videos=[
            shown
            for agent, (folder, info) in (_evaluations(run_folder, example) if seeds else infos).items()
            for shown in _shown(run_folder, agent, folder, info)
        ],
        held_out=held_out,
        measured=episodes_of(held_out) if held_out else "",
        held_out_folder=run_folder / HELD_OUT,
        predictors=(POLICY, *BASELINES),
        unbeaten=unbeaten(summaries, held_out),
        apart=_measured_apart([info for _, info in infos.values()]),
        pictures=_pictures(example / "eval") or _pictures(example / HELD_OUT),
        pairs=_pairs(run_folder),
    )
    return write_atomic(run_folder / "report.html", html.encode())


def _name(run: Path) -> str:
    """Return the name of a run; one of several training seeds, whose name is a number, has that of its folder too."""
    return f"{run.parent.name}/{run.name}" if run.name.isdecimal() else run.name


def inside(run_folder: Path, path: Path | str) -> Path:
    """Return a path below a run folder, with links followed.

    Raises:
        ValueError: if it leads out of the folder.
    """
    found = (run_folder / path if isinstance(path, str) else path).resolve()
    if not found.is_relative_to(run_folder.resolve()):
        raise ValueError(
            f"{path} leads out of the run folder {run_folder}, and a report shows only files inside it: copy the file "
            f"into the run folder, or remove the link or the entry that names it"
        )
    return found


def _curves(run_folder: Path, run: Path, config: Mapping[str, Any]) -> Curves:
    """Return the learning curves of a run, with a warning if lines are missing up to its newest checkpoint."""
    file = inside(run_folder, run / "metrics.jsonl")
    rows = read_metrics_lines(file) if file.exists() else []
    training = config.get("training")
    every = training.get("log_every") if isinstance(training, dict) else None
    reached = [int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdecimal()]
    warn_of_missing_lines(rows, file, max(reached, default=0), every)
    return curves_of(rows)


def _evaluations(run_folder: Path, run: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Find every agent's evaluation of a run inside the run folder, the policy first."""
    found, folder = {}, run / "eval"
    for file in [folder / FILE_NAME, *sorted(folder.glob(f"*/{FILE_NAME}"))]:
        if file.exists():
            info = read_eval_info(inside(run_folder, file))
            found[info["agent"]] = (file.parent, info)
    return dict(sorted(found.items(), key=lambda pair: FIRST_AGENTS.index(pair[0]) if pair[0] in FIRST_AGENTS else 9))


def _measured_apart(infos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words which agents were measured otherwise than the first one, which is the policy."""
    told = []
    for info in infos[1:]:
        agent, first = info["agent"], infos[0]
        differing = [] if {*info["seeds"]} <= {*first["seeds"]} else ["in other episodes"]
        if info.get("options") != first.get("options"):
            differing.append("with other options of the suite")
        if agent not in WITHOUT_POLICY and info.get("checkpoint") != first.get("checkpoint"):
            differing.append("with another checkpoint")
        if differing:
            told.append(f"{agent} was measured {' and '.join(differing)} than {first['agent']}")
    return told


def _rates(infos: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return the success rate of each agent by level and task; empty if results have no levels."""
    found = {agent: group_rates(info) for agent, info in infos.items()}
    cells = dict.fromkeys(cell for rates in found.values() for cell in rates)
    return {cell: {agent: rates[cell] for agent, rates in found.items() if cell in rates} for cell in cells}


def _facts(config: Mapping[str, Any], infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the single values of configuration and evaluations: command, code version, machine, seed, ..."""
    description = config.get("description")
    described = {**config, **(description if isinstance(description, dict) else {})}
    facts = {name: value for name, value in described.items() if isinstance(value, str | int | float) and value != ""}
    if isinstance(machines := config.get("machines"), list):
        facts["machines"] = "; ".join(map(str, machines))
    for info in infos[:1]:
        single = {name: value for name, value in info.items() if isinstance(value, str | int | float)}
        facts |= {f"evaluation: {name}": value for name, value in single.items() if facts.get(name) != value}
        seeds = info["seeds"]
        facts["evaluation: seeds"] = f"{min(seeds)} to {max(seeds)}, {len(seeds)} episodes"
        facts["evaluation: minutes"] = f"{info['overall']['eval_s'] / 60:.1f}"
    return {name.replace("_", " "): value for name, value in facts.items()}


def _shown(run_folder: Path, agent: str, folder: Path, info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the recorded episodes to show: of the policy, the first successes and failures."""
    recorded = [
        row for row in info["episodes"] if row["video_path"] and inside(run_folder, folder / row["video_path"]).exists()
    ]
    if agent == "policy":
        chosen = [row for success in (True, False) for row in recorded if row["success"] == success]
        successes = sum(row["success"] for row in chosen)
        recorded = [*chosen[: min(EACH, successes)], *chosen[successes : successes + EACH]]
    else:
        recorded = recorded[:1]
    shown = []
    for row in recorded:
        strip = folder / f"film_strip_{row['episode']}.png"
        found = {"video": folder / row["video_path"], "strip": strip if strip.exists() else None}
        shown.append({**row, **found, "agent": agent})
    return shown


def _pairs(run_folder: Path) -> list[dict[str, Any]]:
    """Return the descriptions of videos of two policies side by side."""
    pairs, remedy = [], "write it again, with astra report RUN --beside OTHER"
    for file in sorted((run_folder / "eval" / BESIDE).glob(f"*/{PAIRS}")):
        content = read_json(inside(run_folder, file), ({"pairs": [PAIR]}, [PAIR]), remedy)  # older ones are a list
        for pair in content["pairs"] if isinstance(content, dict) else content:
            if not len(pair["agents"]) == len(pair["success"]) == 2 >= len(pair["strips"]):
                raise ValueError(f"{file} cannot be used: every entry needs two agents and their results; {remedy}")
            pairs.append({**pair, "folder": file.parent})
    return pairs


def _pictures(folder: Path) -> dict[str, list[Path]]:
    pictures = {caption: sorted(folder.glob(f"{name}*.png")) for name, caption in PICTURES.items()}
    return {caption: found for caption, found in pictures.items() if found}


def _data_uri(run_folder: Path, path: Path) -> str:
    found = inside(run_folder, path)
    if found.suffix not in KINDS:
        raise ValueError(f"{path} is named in a result of {run_folder}, expected a video (.mp4) or a picture (.png)")
    check_size(found, "remove it, or evaluate again", LARGEST)
    return f"data:{KINDS[found.suffix]};base64,{base64.b64encode(found.read_bytes()).decode()}"
