from astra.datasets import LeRobotDataset, describe


def test_a_description_tells_size_instructions_and_ranges(dataset: LeRobotDataset) -> None:
    rows = dict(describe(dataset))
    assert rows["episodes"] == "4"
    assert rows["timesteps"].startswith("24 at 5 per second")
    assert rows["episode length"] == "1 to 12 timesteps, mean 6.0"
    assert rows["instruction 'go right'"] == "2 episodes"
    assert rows["observation.image"] == "6 x 9 RGB frames"
    low, high = dataset.columns["action"][:, 1].min(), dataset.columns["action"][:, 1].max()
    assert rows["action[action_1]"].startswith(f"{low:.4g} to {high:.4g}")
