"""Many processes: those that a launcher started side by side, and pools that work through a list of tasks."""
