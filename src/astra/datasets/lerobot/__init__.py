"""LeRobotDataset, the native format on disk."""
