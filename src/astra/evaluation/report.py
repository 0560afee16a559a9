"""Write a run's results to one self-contained `report.html`, which opens offline."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from astra.evaluation.eval_info import FILE_NAME, group_rates, read_summary
from astra.evaluation.pictures.plots import learning_curves, read_metrics, result_bars
from astra.evaluation.pictures.style import png
from astra.evaluation.success import Estimate
from astra.storage.atomic import write_atomic

EACH = 2
"""Number of successes, and of failures, of the policy that are shown as videos; other agents have one video."""
FIRST_AGENTS = ("policy", "no-op", "expert")
"""Agents that come first, in this order."""
BESIDE, PAIRS = "beside", "pairs.json"
"""Folder under `eval/` with videos of two policies side by side, and the file that describes them."""
PICTURES = {
    "mask": "Attention mask: rows attend to columns; p prompt, s states, q action queries, a actions.",
    "attention": "Attention weights of the trained policy: rows attend to columns, brighter is more.",
}
"""Captions of pictures under `eval/`, by the beginning of the file's name."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    The report shows config.json, metrics.jsonl, eval/eval_info.json (the policy), eval/NAME/eval_info.json (no-op,
    expert, swapped, ...), their videos and film strips, pictures eval/*.png, and eval/beside/OTHER/pairs.json with its
    files. Missing parts are left out.

    Raises:
        FileNotFoundError: if the folder holds neither a configuration, nor metrics, nor an evaluation.
    """
    config_file, metrics_file = run_folder / "config.json", run_folder / "metrics.jsonl"
    config = json.loads(config_file.read_text()) if config_file.exists() else {}
    curves = read_metrics(metrics_file) if metrics_file.exists() else {}
    infos = _evaluations(run_folder / "eval")
    if not (config or curves or infos):
        raise FileNotFoundError(
            f"{run_folder} has no config.json, metrics.jsonl or eval/{FILE_NAME}; expected the folder of a run"
        )
    summaries = {agent: read_summary(info) for agent, (_, info) in infos.items()}
    templates = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    templates.filters["embed"] = _data_uri
    html = templates.from_string(files("astra.evaluation").joinpath("report.html.jinja").read_text()).render(
        name=run_folder.resolve().name,
        facts=_facts(config, [info for _, info in infos.values()]),
        config=json.dumps(config, indent=2) if config else "",
        scores=list(dict.fromkeys(name for summary in summaries.values() for name in summary.scores)),
        summaries=summaries,
        rates=_rates({agent: info for agent, (_, info) in infos.items()}),
        infos={agent: info for agent, (_, info) in infos.items()},
        bars=_figure_uri(png(result_bars(summaries))) if summaries else "",
        curves=_figure_uri(png(learning_curves(curves))) if curves else "",
        videos=[shown for agent, (folder, info) in infos.items() for shown in _shown(agent, folder, info)],
        pictures=_pictures(run_folder / "eval"),
        pairs=[
            {**pair, "folder": file.parent}
            for file in sorted((run_folder / "eval" / BESIDE).glob(f"*/{PAIRS}"))
            for pair in json.loads(file.read_text())
        ],
    )
    return write_atomic(run_folder / "report.html", html.encode())


def _evaluations(folder: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Find every agent's evaluation, the policy first."""
    found = {}
    for file in [folder / FILE_NAME, *sorted(folder.glob(f"*/{FILE_NAME}"))]:
        if file.exists():
            info = json.loads(file.read_text())
            found[info["agent"]] = (file.parent, info)
    return dict(sorted(found.items(), key=lambda pair: FIRST_AGENTS.index(pair[0]) if pair[0] in FIRST_AGENTS else 9))


def _rates(infos: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Return the success rate of each agent by level and task; empty if results have no levels."""
    found = {agent: group_rates(info) for agent, info in infos.items()}
    cells = dict.fromkeys(cell for rates in found.values() for cell in rates)
    return {cell: {agent: rates[cell] for agent, rates in found.items() if cell in rates} for cell in cells}


def _facts(config: Mapping[str, Any], infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the single values of configuration and evaluations: command, code version, machine, seed, ..."""
    described = {**config, **config.get("description", {})}
    facts = {name: value for name, value in described.items() if isinstance(value, str | int | float)}
    for info in infos[:1]:
        single = {name: value for name, value in info.items() if isinstance(value, str | int | float)}
        facts |= {f"evaluation: {name}": value for name, value in single.items() if facts.get(name) != value}
        seeds = info["seeds"]
        facts["evaluation: seeds"] = f"{min(seeds)} to {max(seeds)}, {len(seeds)} episodes"
        facts["evaluation: minutes"] = f"{info['overall']['eval_s'] / 60:.1f}"
    return {name.replace("_", " "): value for name, value in facts.items()}


def _shown(agent: str, folder: Path, info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the recorded episodes to show: of the policy, the first successes and failures."""
    recorded = [row for row in info["episodes"] if row["video_path"] and (folder / row["video_path"]).exists()]
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


def _pictures(folder: Path) -> dict[str, list[Path]]:
    pictures = {caption: sorted(folder.glob(f"{name}*.png")) for name, caption in PICTURES.items()}
    return {caption: found for caption, found in pictures.items() if found}


def _data_uri(path: Path) -> str:
    kind = {".png": "image/png", ".mp4": "video/mp4"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _figure_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
