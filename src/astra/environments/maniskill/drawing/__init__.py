"""What ManiSkill draws: the cameras, their shader, the coarse arm, and the driver that all of it needs."""
