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
