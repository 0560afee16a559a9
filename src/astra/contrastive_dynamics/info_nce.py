"""InfoNCE between an anchor, its positive and its negatives, in float32. Source: Equation 2."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    embeddings: Float[Tensor, "A candidates F"], *, temperature: float = 1.0, normalize: bool = False
) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
    """Compute -log(s(x, x+) / (s(x, x+) + sum_j s(x, x_j-))) with s(x, y) = exp(f(x) . f(y)), averaged over anchors.

    Args:
        embeddings: Embeddings of each anchor, its positive, and its J negatives, in this order.
        temperature: Divisor of the dot products; 1 is the paper's form.
        normalize: Whether embeddings are first scaled to length 1; the paper does not.

    Returns:
        The loss, and detached means to log: `retrieval_accuracy`, the share of anchors whose positive is nearer than
        all negatives; the cosines `similarity_positive` and `similarity_negative`; and `embedding_norm`, the length of
        f. In the paper's form a dot product is a cosine times the squared length.

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


def score_alone(
    embeddings: Float[Tensor, "A candidates F"],
    direction: Float[Tensor, " F"],
    *,
    temperature: float = 1.0,
    normalize: bool = False,
) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
    """Compute InfoNCE over scores w . f(x) that see one candidate at a time: the anchor takes no part in them.

    A score has to say whether actions fit the prompt and the states; that two candidates share segments does not help.
    Anchor and positive are both real, one as recorded and one augmented, and each is compared with all negatives, so
    that an augmented look says nothing. Deviation: the paper compares with the anchor.

    Args:
        embeddings: Embeddings of each anchor, its positive, and its J negatives, in this order.
        direction: w, learned.
        temperature: Divisor of the scores.
        normalize: Whether embeddings and w are first scaled to length 1.

    Returns:
        The loss, and the metrics of `info_nce`, with w in the anchor's place.
    """
    exact, w = embeddings.float(), direction.float()
    directions, unit = F.normalize(exact, dim=-1), F.normalize(w, dim=-1)
    cosines = (directions * unit).sum(-1)
    scores = (cosines if normalize else (exact * w).sum(-1)) / temperature
    real, negatives = scores[:, :2, None], scores[:, None, 2:].expand(-1, 2, -1)
    loss = (torch.cat([real, negatives], dim=-1).logsumexp(-1) - real[..., 0]).mean()
    with torch.no_grad():
        metrics = {
            "retrieval_accuracy": (real > negatives).all(-1).float().mean(),
            "similarity_positive": cosines[:, :2].mean(),
            "similarity_negative": cosines[:, 2:].mean(),
            "embedding_norm": exact.norm(dim=-1).mean(),
        }
    return loss, metrics
