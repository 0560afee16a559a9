"""Verdicts on hostile cases, and the table of a campaign."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ACCEPTED, REFUSED = "accepted", "refused"
FAULTS = {
    "traceback": "an exception, an exit code other than 0 and 2, or a message that no check has worded",
    "vague": "a message that does not name the file, folder or flag",
    "hang": "not finished within the time limit",
    "memory": "more memory than the stated multiple of the input",
    "difference": "other values than those written, without a word",
    "escape": "wrote or deleted outside its folder, opened a socket, or ran code",
    "lost": "a checkpoint or data that was complete before a kill is gone or unreadable",
    "not equal": "a resumed or repeated run that differs from a straight one",
    "orphan": "a process that lives on five seconds after the kill",
    "leftover": "something left behind that a failed or killed command should have removed",
    "campaign": "an error of the campaign itself",
}
"""Faults and what they mean."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one case."""

    verdict: str
    """`accepted`, `refused`, or one of `FAULTS`."""
    detail: str = ""
    """Evidence of a fault, such as the end of a traceback or the two values that differ."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case with its outcome."""

    section: str
    number: int
    name: str
    outcome: Outcome
    seconds: float
    megabytes: float
    """Memory beyond that of an idle process."""

    @property
    def is_fault(self) -> bool:
        """Whether the case shows a fault."""
        return self.outcome.verdict in FAULTS

    def __str__(self) -> str:
        """Return one line, and the evidence of a fault below it."""
        line = f"{self.section} {self.number}: {self.name}: {self.outcome.verdict}"
        return f"{line}\n    {self.outcome.detail.strip()}" if self.is_fault else line


def table(results: Iterable[Result]) -> str:
    """Return a Markdown table with one row per section."""
    rows = list(results)
    found = [fault for fault in FAULTS if any(row.outcome.verdict == fault for row in rows)]
    lines = [f"| section | cases | accepted | refused | faults | most memory |{''.join(f' {f} |' for f in found)}"]
    lines.append("|---" * (6 + len(found)) + "|")
    for section in dict.fromkeys(row.section for row in rows):
        own = [row for row in rows if row.section == section]
        counts = Counter(row.outcome.verdict for row in own)
        memory = max(row.megabytes for row in own)
        cells = [section, len(own), counts[ACCEPTED], counts[REFUSED], sum(row.is_fault for row in own)]
        lines.append("| " + " | ".join(map(str, [*cells, f"{memory:,.0f} MB", *(counts[f] for f in found)])) + " |")
    return "\n".join(lines)
