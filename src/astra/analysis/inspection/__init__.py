"""Inspection of a dataset: what is wrong in it, and a page that shows it."""
