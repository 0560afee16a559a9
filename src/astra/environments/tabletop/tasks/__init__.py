"""Tasks of the tabletop: functions that set up an episode."""
