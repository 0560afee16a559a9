"""Chunks of timesteps: rows of early timesteps read no late column, so they need not score it."""

from functools import lru_cache

from astra.attention.kernels.batch import RowBlock

FEWEST_COLUMNS = 135
"""Columns below which a further chunk saves less than its call costs; measured by `astra benchmark training`."""


@lru_cache(maxsize=64)
def row_blocks_of(L: int, M: int, N: int, T: int, num_queries: int, *, actions: int) -> tuple[RowBlock, ...]:
    """Cut the rows of `split_mask` where that wins: none for short trajectories, up to six for long ones.

    Args:
        L: Prompt tokens.
        M: State tokens per timestep.
        N: Action tokens per timestep.
        T: Timesteps.
        num_queries: Queries per timestep.
        actions: Timesteps whose action is in the context, T or T - 1.
    """
    num_context = T * M + actions * N
    number = min(6, T, num_context // FEWEST_COLUMNS)
    if number < 2:
        return ()
    ends = [round(T * row_block / number) for row_block in range(number + 1)]
    cuts = [min(end * (M + N), num_context) for end in ends]
    return tuple(
        RowBlock(
            context=slice(cuts[row_block], cuts[row_block + 1]),
            queries=slice(ends[row_block] * num_queries, ends[row_block + 1] * num_queries),
            columns=L + cuts[row_block + 1],
        )
        for row_block in range(number)
    )
