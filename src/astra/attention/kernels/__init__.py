"""Kernels: several ways of computing the same attention over a batch."""
