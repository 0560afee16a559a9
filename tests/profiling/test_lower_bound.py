from dataclasses import replace

from astra.profiling.contrast import EVERY_ANCHOR
from astra.profiling.lower_bound import minimum_contrast_operations
from astra.profiling.shapes import Shape


def test_the_minimum_operations_of_a_contrast_by_hand() -> None:
    tiny = Shape(L=1, M=1, N=1, T=1, B=1, layers=1, heads=1, width=1)
    # Three candidates: keys and values of two tokens (4 each), the rest of one action (20), which attends to three
    # tokens (4 each). The prompt has keys and values. All three times: forward once and backward twice.
    once = 3 * (2 * 4 + 20 + 3 * 4) + 4
    assert minimum_contrast_operations(tiny, replace(EVERY_ANCHOR, negatives=1)) == 3 * once


def test_a_quarter_of_the_anchors_costs_a_quarter() -> None:
    shape = Shape(B=16)
    quarter = minimum_contrast_operations(shape, replace(EVERY_ANCHOR, cdl_fraction=0.25))
    assert minimum_contrast_operations(shape, EVERY_ANCHOR) == 4 * quarter


def test_the_lower_bound_is_below_what_an_update_computes() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from astra.profiling.contenders import make_update
    from astra.profiling.lower_bound import minimum_operations
    from astra.profiling.shapes import Shape

    shape = Shape(L=8, T=6, B=2, layers=3, heads=2, width=64)
    update = make_update("astra", shape)
    # The counter does not know the fused kernel of CPUs, so attention is made of plain products here.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        update()
    assert 0.75 * counter.get_total_flops() < minimum_operations(shape) < counter.get_total_flops()
