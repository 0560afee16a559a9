import numpy as np
import pytest

from astra.datasets.lerobot.layout import decode_image, encode_png


def test_a_frame_comes_back_bit_for_bit() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    assert np.array_equal(decode_image(encode_png(frame)), frame)


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_bytes_that_are_not_a_complete_image_are_refused(keep: int) -> None:
    data = encode_png(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="not a complete image"):
        decode_image(data[:keep])
