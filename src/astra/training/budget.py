"""Length of a run, in updates or in minutes, and the fraction of it that is done."""

from dataclasses import dataclass, field

WARM_UP = 3
"""First updates of a process, which are slower than the others and do not count in its speed."""


@dataclass(kw_only=True)
class Budget:
    """Length and progress of a run, which ends when its updates are done or its minutes are spent."""

    updates: int
    """Number of updates of the whole run."""
    max_minutes: float | None = None
    """Minutes of the whole run. Only updates count, not validation and checkpoints. None: no limit."""
    update: int = 0
    """Number of updates done."""
    seconds: float = 0.0
    """Seconds spent in these updates."""
    measured: int = field(default=0, init=False)
    """Number of updates whose speed this process knows: those after its first few."""
    measured_seconds: float = field(default=0.0, init=False)
    """Seconds spent in these."""
    _seen: int = field(default=0, init=False)

    def share(self, within_update: float = 0.0) -> float:
        """Return the fraction of the run that is done, 0 to 1.

        Args:
            within_update: fraction of the current update that is done, 0 to 1.
        """
        time = 0.0 if self.max_minutes is None else self.seconds / (60 * self.max_minutes)
        return min(1.0, max((self.update + within_update) / self.updates, time))

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.share() >= 1

    @property
    def seconds_left(self) -> float:
        """Estimated seconds to the end at the speed of this process; infinite as long as it is unknown."""
        if not self.measured:
            return float("inf")
        by_updates = (self.updates - self.update) * self.measured_seconds / self.measured
        by_time = float("inf") if self.max_minutes is None else 60 * self.max_minutes - self.seconds
        return max(0.0, min(by_updates, by_time))

    def spend(self, seconds: float) -> None:
        """Count one update that took so many seconds."""
        self.update += 1
        self.seconds += seconds
        self._seen += 1
        if self._seen > WARM_UP:
            self.measured += 1
            self.measured_seconds += seconds

    def is_due(self, every: int | None) -> bool:
        """Whether a task is due that is done every so many updates and at the end of the run; None: never."""
        return every is not None and (self.update % every == 0 or self.finished)
