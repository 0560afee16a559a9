"""Pick-and-place in ManiSkill: our own tasks in its API, since the paper's objects are not public."""
