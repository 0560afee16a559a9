"""Bins of actions from -1 to 1, as the experts of several suites use them."""

import numpy as np

from astra.environments.spaces import in_bins


def test_rounding_keeps_zero_in_an_odd_number_of_bins_and_the_bounds_inside() -> None:
    values = np.array([-1.0, -0.5, 0.0, 1e-3, 0.5, 1.0, 0.3, 0.1, 0.15], np.float32)
    assert np.array_equal(in_bins(values, 0), values)
    found = in_bins(values, 5)
    np.testing.assert_allclose(found, [-0.8, -0.4, 0, 0, 0.4, 0.8, 0.4, 0, 0], atol=1e-6)
