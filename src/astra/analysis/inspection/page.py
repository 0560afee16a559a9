"""Page about a dataset: one self-contained HTML file of bounded size, which opens offline."""

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from astra.analysis.inspection import histograms, shown_episodes
from astra.analysis.inspection.findings import Finding, bins_of, together
from astra.datasets import LeRobotDataset
from astra.datasets.lerobot.tables import read_batches
from astra.evaluation.page import render_page
from astra.storage.atomic import write_atomic
from astra.tokenizers.actions import DiscreteActionsConfig

TASKS = 100
"""Largest number of instructions listed."""
FACTS = 300
FINDINGS = 100
ROWS_AT_ONCE = 65536


def write_page(
    dataset: LeRobotDataset,
    findings: Sequence[Finding],
    facts: Sequence[tuple[str, str]],
    actions: DiscreteActionsConfig,
    path: Path,
) -> tuple[Finding, ...]:
    """Write the page, and return all findings: those given, and those of the frames that it shows.

    Nothing of the dataset becomes script: texts are escaped, and browsers run the page's own script only.

    Args:
        dataset: The opened dataset.
        findings: What was found before.
        facts: Rows of (name, value).
        actions: Bins of the policy to come.
        path: File to write.

    Raises:
        OSError: if the file cannot be written.
    """
    shown, in_frames = [], []
    for index in shown_episodes.choose_episodes(dataset, findings):
        episode, found = shown_episodes.show_episode(dataset, index)
        shown.append(episode)
        in_frames += found
    told = {(finding.kind, episode) for finding in findings for episode in finding.episodes}
    new = together(
        [finding for finding in in_frames if not told.issuperset((finding.kind, e) for e in finding.episodes)]
    )
    all_findings = sorted([*findings, *new], key=lambda finding: not finding.wrong)
    here = files("astra.analysis.inspection")
    script = here.joinpath("page.js").read_text()
    states = histograms.state_histograms(dataset)
    tasks = _tasks(dataset)
    html = render_page(
        here.joinpath("page.html.jinja").read_text(),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        own_style=here.joinpath("page.css").read_text(),
        name=dataset.folder.resolve().name,
        tiles=_tiles(dataset),
        findings=all_findings[:FINDINGS],
        findings_left_out=max(0, len(all_findings) - FINDINGS),
        shown=shown,
        total=len(dataset),
        curves_size={"width": shown_episodes.WIDTH, "height": shown_episodes.HEIGHT},
        bars={"width": histograms.WIDTH, "height": histograms.HEIGHT},
        tasks=tasks[:TASKS],
        tasks_left_out=max(0, len(tasks) - TASKS),
        rate=_rate(dataset),
        lengths=histograms.length_histogram(dataset),
        actions=histograms.action_histograms(dataset, bins_of(dataset, actions)),
        actions_left_out=len(dataset.spec.actions) > histograms.DIMENSIONS,
        states=states,
        states_left_out=sum(dataset.spec.states.values()) > len(states),
        facts=facts[:FACTS],
        facts_left_out=max(0, len(facts) - FACTS),
    )
    write_atomic(path, html.encode())
    return tuple(all_findings)


def _tiles(dataset: LeRobotDataset) -> list[tuple[str, str]]:
    timesteps, fps = int(dataset.lengths.sum()), dataset.spec.fps
    counts = {
        "episode": len(dataset),
        "timestep": timesteps,
        "instruction": len(dataset.spec.instructions),
        "camera": len(dataset.spec.images),
    }
    tiles = [(f"{count:,}", name if count == 1 else f"{name}s") for name, count in counts.items()]
    return [*tiles[:2], (f"{timesteps / fps / 60:.1f}", f"minutes at {fps:g} timesteps per second"), *tiles[2:]]


def _tasks(dataset: LeRobotDataset) -> list[dict[str, object]]:
    episodes, timesteps = Counter(dataset.instructions), Counter[str]()
    for instruction, length in zip(dataset.instructions, dataset.lengths.tolist(), strict=True):
        timesteps[instruction] += length
    total = sum(timesteps.values())
    return [
        {
            "instruction": instruction,
            "episodes": f"{episodes[instruction]:,}",
            "timesteps": f"{number:,}",
            "share": number / total,
        }
        for instruction, number in timesteps.most_common()
    ]


def _rate(dataset: LeRobotDataset) -> str:
    """Describe the declared rate, and the one that timestamps show."""
    parts = []
    for path in dataset.recorded.files if dataset.recorded else ():
        for batch in read_batches(path, ["episode_index"], ROWS_AT_ONCE, ["timestamp"]):
            if "timestamp" in batch.schema.names:
                parts.append(batch["timestamp"].to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1))
    times = np.concatenate(parts) if parts else np.empty(0)
    declared = f"Declared are {dataset.spec.fps:g} timesteps per second"
    if len(times) != int(dataset.ends[-1]):
        return f"{declared}; there are no timestamps."
    steps = np.concatenate(
        [np.diff(times[first:until]) for first, until in zip(dataset.starts, dataset.ends, strict=True)]
    )
    if not len(steps):
        return f"{declared}; every episode has a single timestep."
    least, usual, most = float(steps.min()), float(np.median(steps)), float(steps.max())
    return f"{declared}. Timestamps are {least:.4g} to {most:.4g} s apart, usually {usual:.4g} s."
