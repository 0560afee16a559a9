"""The floor: the fewest floating-point operations an update needs, at the speed of plain matrix products."""

import time

import torch

from astra.attention.masks import split_mask
from astra.profiling.shapes import Shape


def fewest_operations(shape: Shape) -> float:
    """Count what an update of the split form cannot do without: visible pairs only, forward once and backward twice.

    A product of (a, b) and (b, c) counts 2 a b c. Per row of width D: 2 D^2 for each of Q, K, V and the output, and
    16 D^2 for the feed-forward layers; a visible pair counts 4 D. Queries have no K and V; in the last layer the prompt
    and the context have K and V alone.
    """
    _, _, allowed = split_mask(shape.L, shape.M, shape.N, shape.T, shape.N, actions=shape.T - 1)
    D, num_read, num_queries = shape.width, allowed.shape[1], shape.T * shape.N
    full, asking, read_only = 24 * D**2, 20 * D**2, 4 * D**2
    pairs, last_pairs = int(allowed.sum()) + shape.L**2, int(allowed[num_read - shape.L :].sum())
    layer = num_read * full + num_queries * asking + 4 * D * pairs
    last = num_read * read_only + num_queries * asking + 4 * D * last_pairs
    return 3.0 * shape.B * ((shape.layers - 1) * layer + last)


def product_of_matrices(shape: Shape) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Make two matrices like those of the feed-forward layer, and count the operations of their product."""
    rows = 2048
    left, right = torch.randn(rows, shape.width), torch.randn(shape.width, 4 * shape.width)
    return left, right, 2.0 * rows * shape.width * 4 * shape.width


def multiply_for_a_while(shape: Shape, seconds: float = 0.5) -> float:
    """Give the operations per second of CPU time of plain matrix products."""
    left, right, operations = product_of_matrices(shape)
    out = left @ right
    begun, count = time.process_time(), 0
    while time.process_time() - begun < seconds:
        torch.mm(left, right, out=out)
        count += 1
    return count * operations / (time.process_time() - begun)
