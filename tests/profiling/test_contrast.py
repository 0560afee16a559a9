from dataclasses import replace

from astra.profiling.contrast import EVERY_ANCHOR, contrast_operations
from astra.profiling.shapes import Shape


def test_the_fewest_operations_of_a_contrast_by_hand() -> None:
    tiny = Shape(L=1, M=1, N=1, T=1, B=1, layers=1, heads=1, width=1)
    # Three candidates: keys and values of two tokens (4 each), the rest of one action (20), which reads three tokens (4
    # each); the prompt has keys and values. Three times: forward once and backward twice.
    assert contrast_operations(tiny, replace(EVERY_ANCHOR, negatives=1)) == 3 * (3 * (2 * 4 + 20 + 3 * 4) + 4)


def test_a_quarter_of_the_anchors_costs_a_quarter() -> None:
    shape = Shape(B=16)
    quarter = contrast_operations(shape, replace(EVERY_ANCHOR, cdl_fraction=0.25))
    assert contrast_operations(shape, EVERY_ANCHOR) == 4 * quarter
