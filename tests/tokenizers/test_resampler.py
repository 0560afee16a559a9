"""The perceiver resampler: what its latents attend to."""

import pytest
import torch


def test_latents_read_valid_tokens_alone_and_tell_their_places_apart() -> None:
    from astra.tokenizers.resampler import Resampler

    resampler = Resampler(num_tokens=6, latents=4, layers=2, heads=2, width=16).double()
    for parameter in resampler.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    tokens = torch.randn(2, 3, 6, 16).double()
    valid = torch.tensor([True, True, False, True, True, False]).expand(2, 3, -1)
    base = resampler(tokens, valid)
    assert base.shape == (2, 3, 4, 16)
    hidden = torch.where(valid[..., None], tokens, 9.0)
    assert torch.equal(resampler(hidden, valid), base)
    for place in (0, 1, 3, 4):
        changed = tokens.clone()
        changed[1, 2, place] += torch.randn(16)
        different = (resampler(changed, valid) != base).any(-1)
        assert different[1, 2].all()
        assert different.sum() == 4
    swapped = resampler(tokens[:, :, [1, 0, 2, 3, 4, 5]], valid)
    assert ((swapped - base).abs() > 1e-6).any()
    # One observation is read as a timestep of a trajectory is.
    torch.testing.assert_close(resampler(tokens[:, 1], valid[:, 1]), base[:, 1], rtol=0, atol=1e-12)


def test_a_resampler_without_latents_is_refused() -> None:
    from astra.tokenizers.resampler import Resampler

    with pytest.raises(ValueError, match="at least one latent and one layer, got 0 and 1"):
        Resampler(num_tokens=6, latents=0, layers=1, heads=2, width=16)
