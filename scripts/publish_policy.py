"""Copy the policy of the demo's run to pretrained/pusht-expert, with a card whose numbers come from the run's files.

astra demo
python scripts/publish_policy.py runs/demo
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from astra.policies.checkpoint import CONFIG, MODEL, STATISTICS, load_policy, policy_folder

FOLDER = Path(__file__).resolve().parents[1] / "pretrained" / "pusht-expert"
AGENTS = {
    "policy": "this policy",
    "swapped": "this policy, told the other goal",
    "no-op": "no-op, which does nothing",
    "expert": "the expert",
}
CARD = """# pusht-expert

A small Astra that pushes a T to the goal that its instruction names.

- **Model.** Astra (`AstraConfig` in [config.json](config.json)): {weights:,} weights, a transformer of {layers} layers
  of width {width}. It sees the corners of the T and the position of the agent at the present timestep, but no goal.
  Its action is the position, in pixels, to which the agent is pulled for 0.1 s.
- **Instructions.** {instructions}. It knows no other words.
- **License.** Apache-2.0, as Astra itself.

## Use

```bash
astra evaluate pretrained/pusht-expert          # scores, videos and film strips in pretrained/pusht-expert/eval
```

The README shows how to act with it in Python.

**Intended use.** To try Astra without training, and to test changes of its code. It is no robot policy: it knows one
simulated task. From starts or goals unlike those of the demonstrations it does something arbitrary, and it has no way
to notice.

## Training

- **Data.** {episodes:,} demonstrations of Astra's own expert on Push-T, half of them for each goal, seeds from 0;
  {trained:,} were trained on, and the others held out. No human data. Starts are drawn as gym-pusht draws them, a
  quarter of them near the goal; in 3 % of the timesteps the T or the agent was moved, and the expert corrected it.
- **Command.** `{command}`, code version {code_version}: {updates:,} updates of {batch_size} windows in {minutes:.1f}
  minutes, seed {seed}, {threads}.
- **Machine.** {machine}.

## Results

Episodes of {timesteps} timesteps from unseen starts, seeds from {first_seed}. Score (reward) is the largest
min(coverage / 0.95, 1) of an episode, score (coverage) the largest share of the goal that was covered; both are means
over episodes. Brackets hold 95 % intervals over episodes (bootstrap; Wilson for success), for one training seed.

| agent | episodes | score (reward) | score (coverage) | success |
|---|---|---|---|---|
{rows}
"""


def publish(run: Path, folder: Path) -> None:
    """Copy the policy of an evaluated run to a folder, and write its card."""
    policy, config = load_policy(run), json.loads((run / "config.json").read_text())
    training, about = config["training"], config["description"]
    results = {name: _results(run / "eval" / ("" if name == "policy" else name)) for name in AGENTS}
    demonstrations = json.loads((run / "demonstrations" / "meta" / "info.json").read_text())
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    card = CARD.format(
        weights=sum(weight.numel() for weight in policy.parameters()),
        layers=policy.config.layers,
        width=policy.config.width,
        instructions=" and ".join(f'"{told}"' for told in policy.spec.instructions),
        episodes=demonstrations["total_episodes"],
        trained=about["episodes"],
        command=results["policy"]["command"],
        code_version=config["code_version"],
        updates=last["update"],
        minutes=last["minutes"],
        machine="; ".join(config["machines"]),
        timesteps=results["policy"]["options"]["max_timesteps"],
        first_seed=min(results["policy"]["seeds"]),
        rows="\n".join(_row(name, found) for name, found in results.items()),
        **{name: training[name] for name in ("batch_size", "seed")},
        threads="one thread" if training["threads"] == 1 else f"{training['threads']} threads",
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (CONFIG, MODEL, STATISTICS):
        shutil.copyfile(policy_folder(run) / name, folder / name)
    (folder / "README.md").write_text(card)


def _results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "eval_info.json").read_text())


def _row(name: str, found: dict[str, Any]) -> str:
    intervals = found["overall"]["intervals"]
    shown = (intervals["scores"]["reward"], intervals["scores"]["coverage"], intervals["success"])
    numbers = (f"{each['value']:.2f} [{each['low']:.2f}, {each['high']:.2f}]" for each in shown)
    return " | ".join([f"| {AGENTS[name]}", str(found["overall"]["n_episodes"]), *numbers]) + " |"


if __name__ == "__main__":
    publish(Path(sys.argv[1]), FOLDER)
