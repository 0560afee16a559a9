"""Several tokens merged into one."""

import torch


def test_a_token_that_is_not_real_counts_as_zeros() -> None:
    from astra.tokenizers.merged import MergedTokens

    merge = MergedTokens(3, 8)
    tokens = torch.randn(2, 5, 3, 8)
    valid = torch.ones(2, 5, 3, dtype=torch.bool)
    valid[0, :, 1] = False
    emptied = tokens.clone()
    emptied[0, :, 1] = 0
    assert merge(tokens, valid).shape == (2, 5, 1, 8)
    assert torch.equal(merge(tokens, valid), merge(emptied))


def test_every_real_token_is_read() -> None:
    from astra.tokenizers.merged import MergedTokens

    merge = MergedTokens(3, 8)
    tokens = torch.randn(4, 3, 8)
    for i in range(3):
        changed = tokens.clone()
        changed[:, i] = torch.randn(4, 8)
        assert not torch.allclose(merge(tokens), merge(changed))
