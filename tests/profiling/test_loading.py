import pytest


@pytest.mark.slow
def test_every_row_of_loading_is_measured() -> None:
    from astra.profiling.loading import benchmark_loading

    vectors, frames, share, frozen = benchmark_loading(rounds=1)
    assert "windows/s" in vectors.name
    assert None not in (vectors.ratio, frames.ratio, share.ratio, frozen.ratio)
    assert share.ratio is not None
    assert share.ratio < 0.5
    assert frozen.ratio is not None
    assert frozen.ratio > 1
