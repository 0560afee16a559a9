"""Three of ManiSkill's own tasks, with the robot, cameras and actions of `maniskill`."""
