"""Augmentation: changes of pictures, states and object order in training."""
