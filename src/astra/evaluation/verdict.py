"""Verdict on results: whether a policy beats the controls that it must surpass to have learned anything."""

from collections.abc import Mapping
from typing import Any

from astra.evaluation.held_out_info import BASELINES, POLICY, episodes_of
from astra.evaluation.success import Estimate, Summary, difference

CONTROLS = ("no-op", "swapped", "shuffled", "blank", "blind")
"""Agents that a policy must surpass."""
FEWEST_HELD_OUT = 2
"""Number of held-out episodes that a comparison with baselines needs."""


def unbeaten(summaries: Mapping[str, Summary], held_out: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each control, or each baseline, that the policy does not beat.

    Rollouts count where there are any: a policy that solves its task may predict no better than a slow robot's last
    action. Held-out episodes count only without rollouts of the policy.

    Args:
        summaries: results of rollouts by agent.
        held_out: contents of held_out.json; None if there is none.
    """
    if "policy" in summaries:
        return unbeaten_controls(summaries)
    return unbeaten_baselines(held_out) if held_out else []


def unbeaten_controls(summaries: Mapping[str, Summary]) -> list[str]:
    """Return a sentence for each control that the policy surpasses neither in success nor in its first score.

    A policy surpasses a control if the interval of the difference lies above 0.
    """
    if "policy" not in summaries:
        return []
    policy, sentences = summaries["policy"], []
    for name in CONTROLS:
        if name not in summaries:
            continue
        control = summaries[name]
        measures = {"success rate": (policy.success, control.success)}
        for score in [score for score in policy.scores if score in control.scores][:1]:
            measures[f"mean of maximal {score}"] = (policy.scores[score], control.scores[score])
        if any(difference(*pair).low > 0 for pair in measures.values()):
            continue
        found = [f"{measure} {ours} against {theirs}" for measure, (ours, theirs) in measures.items()]
        sentences.append(f"The policy is not better than {name}: {', '.join(found)}.")
    return sentences


def unbeaten_baselines(held_out: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each baseline whose error on held-out episodes is not larger than the policy's."""
    if held_out["episodes"] < FEWEST_HELD_OUT:
        return [
            f"Actions were predicted along one {episodes_of(held_out)} episode only, too few to compare the policy "
            "with its baselines: train with a larger --validation, or collect more episodes."
        ]
    sentences = []
    for name in BASELINES:
        less = Estimate(**held_out["differences"][name])
        if less.high >= 0:
            ours, theirs = (100 * held_out["all"][predictor]["value"] for predictor in (POLICY, name))
            sentences.append(
                f"On {episodes_of(held_out)} episodes the policy predicts no better than “{name}”: error "
                f"{ours:.2f} % of the range against {theirs:.2f} % (difference {100 * less.value:+.2f}, from "
                f"{100 * less.low:+.2f} to {100 * less.high:+.2f})."
            )
    return sentences
