"""Franka Kitchen: a robot arm in a kitchen does four of seven tasks, in any order."""
