"""Pictures of ManiSkill: the cameras, their shader, and the coarse arm."""
