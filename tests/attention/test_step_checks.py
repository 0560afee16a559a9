"""Checks of a cache's steps: with a window they cost the same at every timestep."""

import pytest


@pytest.mark.parametrize("kind", ["astra", "vima"])
def test_with_a_window_later_timesteps_are_not_checked_anew(kind: str) -> None:
    from astra.attention import step_checks
    from astra.attention.positions import SegmentSizes
    from astra.attention.segments import Kind, TokenIds, concatenate, segment_ids

    sizes, window = SegmentSizes(prompt=3, state=2, action=2), 3

    def at(kind: Kind, size: int, timestep: int) -> TokenIds:
        ids = segment_ids(kind, size, timestep)
        return TokenIds(ids.kind[None], ids.timestep[None], ids.slot[None])

    def step(t: int) -> bool:
        if kind == "vima":
            step_checks.check_cross_attention(sizes, window, frozenset(), t + 1)
            return True
        new = concatenate(at(Kind.ACTION, 2, t - 1), at(Kind.STATE, 2, t))
        return step_checks.check_new_tokens(sizes, window, frozenset(), new, at(Kind.QUERY, 2, t))

    results = [step(t) for t in range(12)]
    assert len(set(results)) == 1
    made = step_checks._check_cross_attention if kind == "vima" else step_checks._check_step
    before = made.cache_info().currsize
    assert step(1_000_000) == results[-1]
    assert made.cache_info().currsize == before


def test_a_rule_of_absolute_timesteps_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial
    from typing import Any

    from torch import Tensor

    from astra.attention import masks, step_checks
    from astra.attention.assumptions import MaskError
    from astra.attention.positions import SegmentSizes
    from astra.attention.segments import Kind, TokenIds

    plain = masks.may_attend

    def changed(rows: TokenIds, columns: TokenIds, **options: Any) -> Tensor:
        """Let every eighth timestep also attend to the first one."""
        eighth = (rows.timestep % 8 == 0)[..., :, None]
        first = ((columns.timestep == 0) & (columns.kind == Kind.STATE))[..., None, :]
        return plain(rows, columns, **options) | (eighth & first & (rows.timestep > 0)[..., :, None])

    monkeypatch.setattr(masks, "may_attend", changed)
    sizes = SegmentSizes(prompt=3, state=2, action=2)
    check = partial(step_checks.check_control_steps, sizes, 2, 2)
    with pytest.raises(MaskError, match="the cache has dropped it"):
        check(20)


def test_a_rule_that_looks_three_timesteps_ahead_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from typing import Any

    from torch import Tensor

    from astra.attention import masks, step_checks
    from astra.attention.assumptions import MaskError
    from astra.attention.positions import SegmentSizes
    from astra.attention.segments import Kind, TokenIds

    plain = masks.may_attend

    def changed(rows: TokenIds, columns: TokenIds, **options: Any) -> Tensor:
        """Let states also attend to those three timesteps later."""
        ahead = columns.timestep[..., None, :] - rows.timestep[..., :, None] == 3
        both = (rows.kind == Kind.STATE)[..., :, None] & (columns.kind == Kind.STATE)[..., None, :]
        return plain(rows, columns, **options) | (ahead & both)

    monkeypatch.setattr(masks, "may_attend", changed)
    with pytest.raises(MaskError, match="a token must not attend to later tokens"):
        step_checks.check_control_steps(SegmentSizes(prompt=3, state=2, action=2), None, 2, 6)
