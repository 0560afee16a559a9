import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode


def test_matrix_products_of_the_trunk_are_those_that_torch_counts() -> None:
    from astra.policies.astra import AstraConfig
    from astra.profiling.contenders import astra_outputs
    from astra.profiling.cost import trunk_flops
    from astra.profiling.shapes import Shape

    shape = Shape(L=5, M=2, N=3, T=4, B=1, layers=3, heads=2, width=64)
    _, outputs = astra_outputs(shape)
    with FlopCounterMode(display=False) as counter:
        outputs()
    products = sum(flops for name, flops in counter.get_flop_counts()["Global"].items() if "attention" not in str(name))
    ours = trunk_flops(AstraConfig(layers=3, heads=2, width=64), 5, 2, 3, 4)
    assert 0.85 < products / ours < 1.15  # attention is not in one, and more than the least that is needed in the other


def test_hours_fall_with_gpus_but_not_for_free() -> None:
    from astra.profiling.cost import UTILIZATION, WORKLOADS, hours, training_flops

    for workload in WORKLOADS:
        flops = training_flops(workload)
        one, eight, many = (hours(flops, gpus, UTILIZATION[0]) for gpus in (1, 8, 64))
        assert one > eight > many
        assert one < 8 * eight < 64 * many


@pytest.mark.slow
def test_estimate_is_printed_with_what_it_assumes(capsys: pytest.CaptureFixture[str]) -> None:
    from astra.profiling import cost

    threads = torch.get_num_threads()
    cost.main()
    torch.set_num_threads(threads)
    out = capsys.readouterr().out
    assert "guesses" in out
    assert "assumed: NVIDIA H100" in out
    assert "measured: on one thread" in out
