"""Demonstrations: experts of suites and recordings of other projects become datasets."""
