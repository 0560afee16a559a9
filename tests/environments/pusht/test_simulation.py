import numpy as np

from astra.environments.pusht.environment import PushTConfig
from astra.environments.pusht.simulation import Simulation


def test_moves_as_the_environment_does() -> None:
    environment, simulation = PushTConfig().build(), Simulation()
    random = np.random.default_rng(0)
    for seed in range(3):
        environment.reset(seed=seed)
        environment.set_state(environment.state())
        simulation.set_state(environment.state())
        start = environment.state()
        for _ in range(40):
            agent, block = environment.state()[:2], environment.state()[2:4]
            towards = block + random.normal(0, 60, 2) - agent
            target = np.clip(agent + 30 * towards / np.linalg.norm(towards), 0, 512)
            environment.step(target)
            simulation.step(*target.tolist())
            copy = [*simulation.agent, *simulation.block]
            np.testing.assert_allclose(copy, environment.state(), atol=0.05)
        assert np.abs(environment.state() - start)[2:4].max() > 5  # the T was pushed


def test_a_push_does_not_depend_on_the_previous_one() -> None:
    simulation = Simulation()
    outcomes = []
    for _ in range(2):
        simulation.set_state(np.array([256.0, 200.0, 256.0, 230.0, 0.1]))
        outcomes.append(simulation.slide(20.0, 100.0, [50])[-1])
    assert np.array_equal(*outcomes)


def test_a_slide_reads_the_same_poses_whether_all_or_some_steps_are_asked_for() -> None:
    simulation, poses = Simulation(), []
    for steps in (range(1, 51), [3, 20, 50]):
        simulation.set_state(np.array([256.0, 200.0, 256.0, 230.0, 0.1]))
        poses.append(simulation.slide(20.0, 100.0, steps))
    assert np.array_equal(poses[0][[2, 19, 49]], poses[1])
    assert np.abs(poses[1][2] - poses[1][0]).max() > 5  # the T was pushed
