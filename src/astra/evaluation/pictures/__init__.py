"""Pictures of an evaluation: videos, plots, masks and attention maps."""
