"""Next commands after a training: evaluate in the suite, or look at held-out episodes where there is no suite."""

import shlex
from pathlib import Path

from astra.environments import suite_notes
from astra.policies.checkpoint import load_policy


def next_step(run_folder: Path, policy_folder: Path, suite: str = "", *, compared: bool = True) -> str:
    """Return the commands to continue with.

    Args:
        run_folder: folder of the run.
        policy_folder: folder of its newest policy.
        suite: suite that the experiment names, as NAME or MODULE:FUNCTION; empty: the one of the demonstrations.
        compared: whether a report can compare actions along held-out episodes, which are those of a single dataset.
    """
    run, newest = shlex.quote(str(run_folder)), shlex.quote(str(policy_folder))
    if suite:
        return f"next: astra evaluate {run} --suite {shlex.quote(suite)}"
    policy = load_policy(policy_folder)
    if policy.spec.suite in suite_notes():
        return f"next: astra evaluate {run}"
    try:
        policy.exportable()
        export = f"astra export {newest} --output exported   for a robot, or "
    except ValueError:
        export = ""
    shown = "compares predicted with demonstrated actions of held-out episodes" if compared else "shows the losses"
    return f"next: astra report {run}   {shown}\nthen: {export}act with the policy in Python: docs/your-robot.md"
