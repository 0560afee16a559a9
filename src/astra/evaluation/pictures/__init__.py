"""Pictures: videos, plots, masks and attention maps."""
