"""Benchmarks behind one interface, and the experts that demonstrate them."""
