"""Speed and memory as ratios against other implementations, measured in one run."""
