"""What ManiSkill draws: the cameras, their shader, and the coarse arm."""
