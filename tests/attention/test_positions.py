import pytest
import torch


def test_a_query_has_the_position_of_its_action() -> None:
    from astra.attention.positions import LearnedPositions, SegmentSizes
    from astra.attention.segments import context_ids, query_ids

    L, M, N, T = 4, 2, 3, 3
    positions = LearnedPositions(SegmentSizes(prompt=L, state=M, action=N), width=5)
    context, queries = positions(context_ids(L, M, N, T)), positions(query_ids(N, T))
    assert torch.equal(context, positions.table.weight[: L + T * (M + N)])
    for t in range(T):
        first = L + t * (M + N) + M
        assert torch.equal(queries[t * N : (t + 1) * N], context[first : first + N])


def test_a_query_of_a_later_action_of_the_chunk_has_the_position_of_that_action() -> None:
    from astra.attention.positions import LearnedPositions, SegmentSizes
    from astra.attention.segments import query_ids

    N = 3
    positions = LearnedPositions(SegmentSizes(prompt=4, state=2, action=N), width=5)
    two_steps = positions(query_ids(2 * N, T=2))
    assert torch.equal(two_steps[N : 2 * N], two_steps[2 * N : 3 * N])


def test_a_shorter_prompt_moves_no_other_token() -> None:
    from astra.attention.positions import LearnedPositions, SegmentSizes
    from astra.attention.segments import context_ids

    positions = LearnedPositions(SegmentSizes(prompt=6, state=2, action=1), width=5)
    long, short = positions(context_ids(6, 2, 1, 2)), positions(context_ids(3, 2, 1, 2))
    assert torch.equal(long[6:], short[3:])


def test_sequence_longer_than_the_table_is_an_error() -> None:
    from astra.attention.positions import LearnedPositions, SegmentSizes
    from astra.attention.segments import context_ids

    positions = LearnedPositions(SegmentSizes(prompt=4, state=2, action=3), width=5)
    positions(context_ids(4, 2, 3, 204))
    with pytest.raises(ValueError, match=r"1029 positions .* 1024"):
        positions(context_ids(4, 2, 3, 205))


def test_relative_bias_depends_on_the_age_alone_and_has_an_entry_for_the_prompt() -> None:
    from astra.attention.positions import RelativePositions, SegmentSizes
    from astra.attention.segments import context_ids

    L, M, N, T = 2, 1, 2, 5
    positions = RelativePositions(SegmentSizes(prompt=L, state=M, action=N), width=8, heads=3, max_age=2)
    torch.nn.init.normal_(positions.ages)
    ids = context_ids(L, M, N, T)
    bias = positions.bias(ids, ids)
    for i in range(len(ids.kind)):
        for j in range(len(ids.kind)):
            age = int(ids.timestep[i] - ids.timestep[j])
            if j < L:
                assert torch.equal(bias[:, i, j], positions.ages[:, 3])
            elif age >= 0:
                assert torch.equal(bias[:, i, j], positions.ages[:, min(age, 2)])


def test_relative_vectors_do_not_depend_on_the_timestep() -> None:
    from astra.attention.positions import RelativePositions, SegmentSizes
    from astra.attention.segments import context_ids

    positions = RelativePositions(SegmentSizes(prompt=2, state=2, action=3), width=8, heads=2)
    vectors = positions(context_ids(2, 2, 3, 4))[2:].unflatten(0, (4, 5))
    assert torch.equal(vectors, vectors[:1].expand_as(vectors))
    assert len(vectors[0].unique(dim=0)) == 5


def test_biases_of_each_layer_start_at_the_slopes_of_the_heads_and_leave_the_prompt_alone() -> None:
    from astra.attention.positions import SLOPES, SegmentSizes, by_layer, relative_positions
    from astra.attention.segments import context_ids

    L, M, N, T, H = 2, 1, 2, 4, 5
    sizes = SegmentSizes(prompt=L, state=M, action=N)
    positions = relative_positions("recency", sizes, width=8, heads=H, layers=3)
    assert positions is not None
    ids = context_ids(L, M, N, T)
    bias = positions.bias(ids, ids)[None]
    assert bias.shape[1] == 3 * H
    age = (ids.timestep[:, None] - ids.timestep).clamp(min=0).masked_fill(ids.timestep < 0, 0)
    parts = by_layer(bias, 3, H)
    assert len(parts) == 3
    for part in parts:
        for head in range(H):
            assert torch.equal(part[0, head], -SLOPES[head % 4] * age)


def test_relative_positions_start_blind_to_time() -> None:
    from astra.attention.positions import SegmentSizes, relative_positions
    from astra.attention.segments import context_ids

    sizes = SegmentSizes(prompt=2, state=1, action=2)
    positions, ids = relative_positions("relative", sizes, width=8, heads=4, layers=3), context_ids(2, 1, 2, 3)
    assert positions is not None
    assert not positions.bias(ids, ids).any()
