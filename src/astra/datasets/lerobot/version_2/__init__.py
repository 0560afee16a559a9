"""LeRobotDataset v2.0 and v2.1: one file per episode and camera, and JSON lines in `meta/`."""
