"""Suites: policies are measured in benchmark suites."""
