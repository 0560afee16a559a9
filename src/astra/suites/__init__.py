"""Measure policies in benchmark suites, beside controls, an expert and the no-op baseline."""
