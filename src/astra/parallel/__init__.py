"""Several processes: those of a launcher such as torchrun, and pools of workers for a list of tasks."""
