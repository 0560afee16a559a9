"""Augmentation of pictures, states and the order of objects in training."""
