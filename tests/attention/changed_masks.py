"""Random changes of `may_attend`: pairs of tokens that are allowed or forbidden in addition."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from torch import Tensor

if TYPE_CHECKING:
    from astra.attention.segments import TokenIds

Rule = Callable[..., Tensor]
KINDS = {"prompt": 0, "state": 1, "query": 2, "action": 3}


@dataclass(frozen=True)
class Edit:
    """One change: all pairs that fit the description become allowed, or forbidden."""

    allow: bool
    row: str
    column: str
    order: str = "any"
    """Segment of the column: earlier than the row's, the same, later, or any."""
    age: int | None = None
    """Timesteps from the column to the row; None: any."""
    slot: str = "any"
    """Slot of the column, next to the row's: up to it, after it, of equal parity, or any; or the first of a segment."""

    def fits(self, rows: "TokenIds", columns: "TokenIds") -> Tensor:
        """Return True for all pairs that the change is about."""
        i, j = rows.order[..., :, None], columns.order[..., None, :]
        u, v = rows.slot[..., :, None], columns.slot[..., None, :]
        orders = {"any": (i == i) & (j == j), "earlier": j < i, "same": j == i, "later": j > i}
        slots = {
            "any": orders["any"],
            "up to own": v <= u,
            "after own": v > u,
            "same parity": v % 2 == u % 2,
            "first": (v == 0) & orders["any"],
        }
        fits = orders[self.order] & slots[self.slot]
        fits = fits & (rows.kind == KINDS[self.row])[..., :, None] & (columns.kind == KINDS[self.column])[..., None, :]
        if self.age is not None:
            fits = fits & (rows.timestep[..., :, None] - columns.timestep[..., None, :] == self.age)
        return fits


edits = st.lists(
    st.builds(
        Edit,
        allow=st.booleans(),
        row=st.sampled_from(list(KINDS)),
        column=st.sampled_from(["prompt", "state", "state", "action", "action", "query"]),
        order=st.sampled_from(["any", "earlier", "same", "later"]),
        age=st.sampled_from([None, None, 0, 1, 2, 3, -1]),
        slot=st.sampled_from(["any", "up to own", "after own", "same parity", "first"]),
    ),
    min_size=1,
    max_size=2,
)


@contextmanager
def changed(changes: Sequence[Edit]) -> Iterator[None]:
    """Apply changes to `may_attend`, in the one place where everything looks it up."""
    from astra.attention import masks

    original = masks.may_attend

    def rule(rows: "TokenIds", columns: "TokenIds", **options: Any) -> Tensor:
        allowed = original(rows, columns, **options)
        for change in changes:
            fits = change.fits(rows, columns)
            allowed = allowed | fits if change.allow else allowed & ~fits
        return allowed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "may_attend", rule)
        yield
