import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.datasets import BatchSampler, batches_in_order

SIZES = st.integers(1, 40)


def take(order: BatchSampler, number: int) -> list[list[int]]:
    return [next(order).tolist() for _ in range(number)]


@settings(max_examples=40, deadline=None)
@given(num_items=SIZES, batch_size=SIZES, seed=st.integers(0, 9))
def test_every_index_comes_once_per_epoch(num_items: int, batch_size: int, seed: int) -> None:
    batches = take(BatchSampler(num_items, batch_size, seed=seed), 3 * num_items)
    assert {len(batch) for batch in batches} == {batch_size}
    stream = np.concatenate(batches)[: 3 * num_items].reshape(3, num_items)
    assert (np.sort(stream, axis=1) == np.arange(num_items)).all()


@settings(max_examples=40, deadline=None)
@given(num_items=SIZES, batch_size=SIZES, before=st.integers(0, 9))
def test_a_resumed_order_equals_the_straight_one(num_items: int, batch_size: int, before: int) -> None:
    straight = take(BatchSampler(num_items, batch_size, seed=5), before + 7)
    stopped = BatchSampler(num_items, batch_size, seed=5)
    take(stopped, before)
    state = json.loads(json.dumps(stopped.state_dict()))
    resumed = BatchSampler(num_items, batch_size, seed=5)
    take(resumed, 2)
    resumed.load_state_dict(state)
    assert take(resumed, 7) == straight[before:]


def test_processes_share_the_batches_of_one() -> None:
    whole = BatchSampler(10, 6, seed=1)
    parts = [BatchSampler(10, 2, seed=1, rank=rank, num_processes=3) for rank in range(3)]
    for _ in range(8):
        assert next(whole).tolist() == [index for part in parts for index in next(part).tolist()]
    assert all(part.state_dict() == whole.state_dict() for part in parts)


def test_epochs_and_seeds_differ() -> None:
    order = BatchSampler(100, 100, seed=1)
    first, second = take(order, 2)
    assert first != second
    assert order.epoch == 2.0
    assert take(BatchSampler(100, 100, seed=2), 1) != [first]


def test_the_state_of_another_order_is_refused() -> None:
    state = BatchSampler(10, 2, seed=1).state_dict()
    with pytest.raises(ValueError, match="num_items=10, but this run has num_items=11"):
        BatchSampler(11, 2, seed=1).load_state_dict(state)
    with pytest.raises(ValueError, match="seed=1, but this run has seed=2"):
        BatchSampler(10, 2, seed=2).load_state_dict(state)


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0)])
def test_sizes_are_at_least_one(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BatchSampler(*sizes, seed=0)


def test_in_order_every_index_comes_once() -> None:
    assert [batch.tolist() for batch in batches_in_order(5, 2)] == [[0, 1], [2, 3], [4]]
