import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st


def matrix(text: str) -> torch.Tensor:
    """Parse a drawn matrix: 1 may attend, . may not."""
    return torch.tensor([[entry == "1" for entry in line.split()] for line in text.strip().splitlines()])


def test_decoding_matrix_is_figure_7a() -> None:
    from astra.attention.masks import trajectory_mask

    # L = 2, M = 2, N = 2, T = 2 with queries: the matrix that the docstring draws.
    expected = matrix("""
        1 1  . .  . .  . .  . .  . .  . .
        1 1  . .  . .  . .  . .  . .  . .
        1 1  1 1  . .  . .  . .  . .  . .
        1 1  1 1  . .  . .  . .  . .  . .
        1 1  1 1  . .  . .  . .  . .  . .
        1 1  1 1  . .  . .  . .  . .  . .
        1 1  1 1  . .  1 1  . .  . .  . .
        1 1  1 1  . .  1 1  . .  . .  . .
        1 1  1 1  . .  1 1  1 1  . .  . .
        1 1  1 1  . .  1 1  1 1  . .  . .
        1 1  1 1  . .  1 1  1 1  . .  . .
        1 1  1 1  . .  1 1  1 1  . .  . .
        1 1  1 1  . .  1 1  1 1  . .  1 1
        1 1  1 1  . .  1 1  1 1  . .  1 1
    """)
    assert torch.equal(trajectory_mask(2, 2, 2, 2, num_queries=2), expected)


def test_encoding_matrix_is_figure_7b() -> None:
    from astra.attention.masks import trajectory_mask

    expected = matrix("""
        1 1 1  . .  .  . .  .
        1 1 1  . .  .  . .  .
        1 1 1  . .  .  . .  .
        1 1 1  1 1  .  . .  .
        1 1 1  1 1  .  . .  .
        1 1 1  1 1  1  . .  .
        1 1 1  1 1  1  1 1  .
        1 1 1  1 1  1  1 1  .
        1 1 1  1 1  1  1 1  1
    """)
    assert torch.equal(trajectory_mask(3, 2, 1, 2), expected)


def test_causal_matrix_is_the_lower_triangle() -> None:
    from astra.attention.masks import causal_mask

    assert torch.equal(causal_mask(3, 2, 2, 2), torch.ones(11, 11).tril().bool())


def test_window_hides_older_timesteps_but_never_the_prompt() -> None:
    from astra.attention.masks import trajectory_mask

    # L = 1, M = 1, N = 1, T = 3, W = 2: timestep 3 attends to timesteps 2 and 3.
    expected = matrix("""
        1  .  .  .  .  .  .
        1  1  .  .  .  .  .
        1  1  1  .  .  .  .
        1  1  1  1  .  .  .
        1  1  1  1  1  .  .
        1  .  .  1  1  1  .
        1  .  .  1  1  1  1
    """)
    assert torch.equal(trajectory_mask(1, 1, 1, 3, window=2), expected)


@pytest.mark.parametrize("causal", [["PROMPT"], ["STATE"], ["ACTION"], ["STATE", "ACTION"]])
def test_direction_is_a_choice_per_kind_of_segment(causal: list[str]) -> None:
    from astra.attention.masks import may_attend
    from astra.attention.segments import Kind, context_ids

    ids = context_ids(3, 3, 3, 2)
    allowed = may_attend(ids, ids, causal_segments={Kind[name] for name in causal})
    for kind in (Kind.PROMPT, Kind.STATE, Kind.ACTION):
        first, last = (ids.kind == kind).nonzero()[[0, 2], 0].tolist()
        assert allowed[last, first]
        assert allowed[first, last] == (kind.name not in causal)


@settings(max_examples=60, deadline=None)
@given(
    L=st.integers(0, 5), M=st.integers(1, 4), N=st.integers(1, 4), T=st.integers(1, 4), W=st.sampled_from([None, 1, 2])
)
def test_every_entry_follows_the_table(L: int, M: int, N: int, T: int, W: int | None) -> None:
    """The expected mask is written down again here, pair by pair, from section 3.2 and appendix A.2."""
    from astra.attention.masks import trajectory_mask

    tokens = [("p", -1)] * L
    for t in range(T):
        tokens += [("s", t)] * M + [("q", t)] * N + [("a", t)] * N
    newest = {  # by kinds of row and column: the age in timesteps of the newest segment that is visible
        "p": {},
        "s": {"s": 0, "a": 1},
        "q": {"s": 0, "a": 1},
        "a": {"s": 0, "a": 0},
    }
    mask = trajectory_mask(L, M, N, T, num_queries=N, window=W)
    for i, (row, t) in enumerate(tokens):
        for j, (column, u) in enumerate(tokens):
            if column == "p":
                expected = True
            elif column not in newest[row]:
                expected = False
            else:
                expected = t - u >= newest[row][column] and (W is None or t - u < W)
            assert mask[i, j] == expected, (row, t, column, u)


@settings(max_examples=60, deadline=None)
@given(L=st.integers(0, 9), M=st.integers(1, 6), N=st.integers(1, 7), T=st.integers(1, 5))
def test_trajectory_attention_adds_the_papers_number_of_entries(L: int, M: int, N: int, T: int) -> None:
    from astra.attention.masks import causal_mask, trajectory_mask

    causal, trajectory = causal_mask(L, M, N, T), trajectory_mask(L, M, N, T)
    assert int(trajectory.sum() - causal.sum()) == L * (L - 1) // 2 + T * (M * (M - 1) // 2 + N * (N - 1) // 2)
    assert not (causal & ~trajectory).any()


@settings(max_examples=40, deadline=None)
@given(L=st.integers(1, 4), M=st.integers(1, 3), N=st.integers(1, 3), T=st.integers(1, 4), W=st.sampled_from([None, 2]))
def test_split_mask_is_the_dense_mask_without_the_rows_of_the_prompt_and_the_columns_of_queries(
    L: int, M: int, N: int, T: int, W: int | None
) -> None:
    from astra.attention.masks import split_mask, trajectory_mask
    from astra.attention.segments import Kind, sequence_ids

    dense = trajectory_mask(L, M, N, T, num_queries=N, window=W)
    kinds = sequence_ids(L, M, N, T, N).kind
    is_query = kinds == Kind.QUERY
    rows = torch.cat([(~is_query & (kinds != Kind.PROMPT)).nonzero()[:, 0], is_query.nonzero()[:, 0]])
    _, _, rectangular = split_mask(L, M, N, T, N, window=W)
    assert torch.equal(rectangular, dense[rows][:, ~is_query])


def test_row_that_may_attend_to_nothing_stays_finite() -> None:
    from astra.attention.masks import additive

    mask = additive(torch.zeros(2, 3, dtype=torch.bool), torch.float32)
    assert torch.softmax(mask + torch.randn(2, 3), dim=-1).isfinite().all()
