"""How long a run is, in updates or in minutes, and how much of it is over."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Budget:
    """A run ends when its updates are done or its minutes are spent, whichever comes first."""

    updates: int
    """Updates of the whole run."""
    max_minutes: float | None = None
    """Minutes of the whole run, spent in updates only; validation and checkpoints do not count. None: no limit."""
    update: int = 0
    """Updates that are done."""
    seconds: float = 0.0
    """Time spent in them."""

    def share(self, within_update: float = 0.0) -> float:
        """Tell how much of the run is over, 0 to 1.

        Args:
            within_update: how much of the running update is over, 0 to 1.
        """
        time = 0.0 if self.max_minutes is None else self.seconds / (60 * self.max_minutes)
        return min(1.0, max((self.update + within_update) / self.updates, time))

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.share() >= 1

    @property
    def seconds_left(self) -> float:
        """The time that is left, at the speed so far; infinite before the first update."""
        return self.seconds * (1 / self.share() - 1) if self.update else float("inf")

    def spend(self, seconds: float) -> None:
        """Count one update that took this long."""
        self.update += 1
        self.seconds += seconds

    def is_due(self, every: int | None) -> bool:
        """Whether something done every so many updates, and at the end of the run, is to be done now."""
        return every is not None and (self.update % every == 0 or self.finished)
