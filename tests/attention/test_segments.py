import torch


def test_interleave_and_split_are_inverse() -> None:
    from astra.attention.segments import interleave, split

    states, queries, actions = (torch.randn(2, *shape, 8) for shape in [(3, 2), (3, 5), (3, 5)])
    sequence = interleave(states, queries, actions)
    assert sequence.shape == (2, 3 * 12, 8)
    for part, again in zip((states, queries, actions), split(sequence, 2, 5, 5), strict=True):
        assert torch.equal(part, again)


def test_ids_name_the_interleaved_tokens() -> None:
    from astra.attention.segments import interleave, sequence_ids

    L, M, N, T, Q = 3, 2, 4, 2, 5
    ids = sequence_ids(L, M, N, T, Q)

    def tokens(kind: int, size: int) -> torch.Tensor:
        timestep, slot = torch.meshgrid(torch.arange(T), torch.arange(size), indexing="ij")
        return torch.stack([torch.full_like(slot, kind), timestep, slot], dim=-1)[None]

    prompt = torch.stack([torch.zeros(L), torch.full((L,), -1), torch.arange(L)], dim=-1).long()
    expected = torch.cat([prompt, interleave(tokens(1, M), tokens(2, Q), tokens(3, N))[0]])
    assert torch.equal(torch.stack([ids.kind, ids.timestep, ids.slot], dim=-1), expected)


def test_segments_are_numbered_in_the_order_of_the_sequence() -> None:
    from astra.attention.segments import sequence_ids

    assert sequence_ids(2, 1, 1, 2, 1).order.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
