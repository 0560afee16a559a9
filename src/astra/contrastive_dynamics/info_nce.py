"""InfoNCE between an anchor, its positive and its negatives, in float32. Source: Equation 2."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    embeddings: Float[Tensor, "A C F"], *, temperature: float = 1.0, normalize: bool = False
) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
    """Compute -log(s(x, x+) / (s(x, x+) + sum_j s(x, x_j-))) with s(x, y) = exp(f(x) . f(y)), the mean over anchors.

    Args:
        embeddings: of each anchor, its positive, and its J = C - 2 negatives, in this order.
        temperature: by which the products are divided; 1 is the paper's form.
        normalize: whether embeddings are brought to length 1 first; the paper does not.

    Returns:
        The loss, and detached means to log: `retrieval_accuracy`, the share of anchors whose positive is nearer than
        all negatives; the cosines `similarity_positive` and `similarity_negative`; and `embedding_norm`, the length
        of f, whose square over the temperature is what a cosine counts in the paper's form.

    Deviation: the paper prints -log E[...] over anchors; this is the mean of the logarithms, the standard objective
    that it cites.
    """
    exact = embeddings.float()
    directions = F.normalize(exact, dim=-1)
    compared = directions if normalize else exact
    scores = (compared[:, 1:] * compared[:, :1]).sum(-1) / temperature  # no matrix product: autocast would halve it
    loss = (scores.logsumexp(1) - scores[:, 0]).mean()
    with torch.no_grad():
        cosines = (directions[:, 1:] * directions[:, :1]).sum(-1)
        metrics = {
            "retrieval_accuracy": (scores[:, 0] > scores[:, 1:].amax(1)).float().mean(),
            "similarity_positive": cosines[:, 0].mean(),
            "similarity_negative": cosines[:, 1:].mean(),
            "embedding_norm": exact.norm(dim=-1).mean(),
        }
    return loss, metrics
