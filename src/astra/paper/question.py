"""Questions that a table decides: yes, no, or not decided, because seeds and episodes could not have told."""

from dataclasses import dataclass

from astra.evaluation.success import Estimate


@dataclass(frozen=True, kw_only=True)
class Question:
    """Question that one number of a table decides; the number and its bound are fixed before the first run."""

    text: str
    """The question, which yes or no answers."""
    row: str
    """Key of the row that decides."""
    column: str
    """Name of the column that decides."""
    difference: bool = True
    """Whether the row minus its baseline decides; otherwise the row's own number."""
    at_least: float | None = None
    """Smallest number for a yes, in the unit of the column; None: no such bound."""
    at_most: float | None = None
    """Largest number for a yes; None: no such bound."""
    after_one: tuple[float, float] | None = None
    """After one seed a difference of at most the first number is a no, and of at least the second a yes, whatever its
    interval, which covers episodes alone; None: one seed decides nothing."""
    given: str = ""
    """Text of the question before it without whose yes this one is not decided; empty: there is none."""

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: if there is not exactly one bound, or `after_one` does not fit it.
        """
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.text} needs one of at_least and at_most, got {self.at_least} and {self.at_most}")
        if self.after_one and not (self.at_least and self.after_one[0] < self.at_least <= self.after_one[1]):
            raise ValueError(f"{self.text} needs at_least between the numbers of after_one, got {self.after_one}")

    @property
    def wanted(self) -> str:
        """The bound in words, such as "at least +3"."""
        word, bound = ("at least", self.at_least) if self.at_least is not None else ("at most", self.at_most)
        return f"{word} {bound:{'+' if self.difference else ''}g}"

    def answer(self, found: Estimate, seeds: int, *, equal: bool = False) -> str:
        """Return the answer and, unless it is a clear one, the reason.

        A bound beyond zero asks for an effect. A yes then also needs an interval without zero, and a no an interval
        that leaves out the bound. Other bounds ask for a tolerance, or for a number of the row itself, where the number
        decides.

        Args:
            found: The number with its interval; that of a difference is over training seeds.
            seeds: Training seeds behind it, which both rows of a difference have.
            equal: Whether both rows of a difference have equal numbers in all episodes.
        """
        if self.difference and equal:
            return "not decided: both rows are equal in all episodes"
        if self.difference and seeds < 2:
            if self.after_one and not self.after_one[0] < found.value < self.after_one[1]:
                return "yes" if found.value >= self.after_one[1] else "no"
            return "not decided: one seed"
        # Upside down, a bound from above is one from below.
        if self.at_least is not None:
            bound, low, value, high = self.at_least, found.low, found.value, found.high
        else:
            assert self.at_most is not None
            bound, low, value, high = -self.at_most, -found.high, -found.value, -found.low
        if self.difference and bound > 0:
            return _effect(bound, low, value, high)
        told = "yes" if value >= bound else "no"
        return f"{told}, but the interval holds the bound" if low < bound <= high else told


def _effect(bound: float, low: float, value: float, high: float) -> str:
    if high < bound:
        return "no"
    if value >= bound:
        return "yes" if low > 0 else "not decided: the interval holds 0"
    if low > 0:
        return "not decided: there is an effect, which may be smaller"
    return "not decided: an effect of this size might not have shown"
