"""The lower bound of a training update: the operations that it cannot avoid, at the speed of plain matrix products.

A product of (a, b) and (b, c) counts 2 a b c operations. Each token of width D counts 2 D^2 for each of Q, K, V and the
output, and 16 D^2 for the feed-forward layers; each pair of tokens that may attend counts 4 D. A training update counts
three times: the forward pass once, the backward pass twice.
"""

import time

import torch

from astra.attention.masks import split_mask
from astra.contrastive_dynamics.objective import ContrastiveConfig
from astra.profiling.shapes import Shape


def minimum_operations(shape: Shape) -> float:
    """Count the operations that a behavior-cloning update of the split form cannot avoid.

    Queries have no K and V. In the last layer, prompt and context have K and V alone.
    """
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, shape.N, actions=shape.T - 1)
    D, num_context, num_queries = shape.width, allowed.shape[1], shape.T * shape.N
    whole, query, keys_values = 24 * D**2, 20 * D**2, 4 * D**2
    pairs, last_pairs = int(allowed.sum()) + shape.L**2, int(allowed[num_context - shape.L :].sum())
    layer = num_context * whole + num_queries * query + 4 * D * pairs
    last = num_context * keys_values + num_queries * query + 4 * D * last_pairs
    return 3.0 * shape.B * ((shape.layers - 1) * layer + last)


def minimum_contrast_operations(shape: Shape, config: ContrastiveConfig) -> float:
    """Count the operations that the contrastive objective cannot avoid.

    Candidates have no queries, and those of one anchor share one encoding of its prompt. In the last layer, only the
    action tokens of the last timestep are more than K and V.
    """
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, 0, actions=shape.T)
    D, context = shape.width, allowed.shape[0]
    whole, query, keys_values = 24 * D**2, 20 * D**2, 4 * D**2
    anchors = max(1, round(config.cdl_fraction * shape.B))
    candidates = anchors * (2 + config.negatives)
    layer = candidates * (context * whole + 4 * D * int(allowed.sum()))
    layer += anchors * (shape.L * whole + 4 * D * shape.L**2)
    last = candidates * (context * keys_values + shape.N * query + 4 * D * int(allowed[-shape.N :].sum()))
    last += anchors * shape.L * keys_values
    return 3.0 * ((shape.layers - 1) * layer + last)


def matrix_operations_per_second(shape: Shape, seconds: float = 0.5) -> float:
    """Measure the speed of plain matrix products of the size of a feed-forward layer, per second of CPU time."""
    rows = 2048
    left, right = torch.randn(rows, shape.width), torch.randn(shape.width, 4 * shape.width)
    operations = 2.0 * rows * shape.width * 4 * shape.width
    out = left @ right
    begun, count = time.process_time(), 0
    while time.process_time() - begun < seconds:
        torch.mm(left, right, out=out)
        count += 1
    return count * operations / (time.process_time() - begun)
