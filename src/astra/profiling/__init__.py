"""Speed and memory as ratios in one run, against what a user would pick instead."""
