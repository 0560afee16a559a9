"""Demonstrations: experts and foreign recordings become datasets."""
