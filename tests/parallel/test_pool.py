"""Tasks on processes of this machine and on a Ray cluster, here of one machine."""

import importlib.util
import operator
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import astra

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="needs the extra `cluster`")
PLACES = [pytest.param(None, id="here"), pytest.param("auto", id="ray", marks=needs_ray)]


@pytest.fixture(scope="module")
def _ray_cluster() -> Iterator[None]:
    """Start a Ray cluster of two workers."""
    import ray  # pyright: ignore[reportMissingImports]

    with pytest.MonkeyPatch.context() as patch:
        folders = (Path(astra.__file__).parents[1], Path(__file__).parents[1] / "evaluation")
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.mark.parametrize("cluster", PLACES)
def test_tasks_get_what_is_shared_and_one_thread_and_raise_their_own_errors(
    cluster: str | None, request: pytest.FixtureRequest
) -> None:
    from astra.parallel.pool import pool

    if cluster:
        request.getfixturevalue("_ray_cluster")
    item: Any = operator.getitem
    with pool(2, cluster=cluster, shared=(np.arange(5.0),)) as tasks:
        assert tasks.workers == 2
        futures = [tasks.submit(item, index) for index in range(5)]
        assert [float(future.result()) for future in futures] == [0, 1, 2, 3, 4]
        with pytest.raises(IndexError, match="index 9 is out of bounds"):
            tasks.submit(item, 9).result()
    with pool(2, cluster=cluster) as tasks:
        assert tasks.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


def test_environment_of_this_process_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from astra.parallel.pool import pool

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with pool(1):
        pass
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_pool_without_workers_is_refused() -> None:
    from astra.parallel.pool import pool

    with pytest.raises(ValueError, match="--workers must be at least 1, got 0"), pool(0):
        pass


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_a_cluster_without_ray_is_refused_with_what_to_install() -> None:
    from astra.parallel.pool import pool

    with pytest.raises(ImportError, match=r"pip install '.\[cluster\]'"), pool(1, cluster="auto"):
        pass


@needs_ray
@pytest.mark.simulator
@pytest.mark.usefixtures("_ray_cluster")
def test_a_cluster_collects_and_plays_what_this_machine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gym_pusht", reason="needs the extra `pusht`")
    from astra.datasets import LeRobotDataset
    from astra.demonstrations.collect import CollectConfig, collect
    from astra.environments.pusht.suite import SUITE, PushTDemonstrationOptions
    from astra.evaluation.episode import Case
    from astra.evaluation.rollout import rollout

    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "evaluation")
    world = importlib.import_module("line_world")
    cases = [Case(seed=seed) for seed in range(3)]
    here, there = (rollout(world.Walker(), world.Line, cases, num_envs=2, cluster=where) for where in (None, "auto"))
    for one, other in zip(here, there, strict=True):
        assert one.seed == other.seed
        np.testing.assert_allclose(one.actions, other.actions)

    config = CollectConfig(episodes=2, output=tmp_path / "data", cluster="auto")
    dataset = LeRobotDataset.open(collect(SUITE, config, PushTDemonstrationOptions(near_goal=1.0)))
    assert len(dataset) == 2


def test_what_workers_cannot_import_is_refused_before_they_start() -> None:
    from astra.parallel.pool import pool

    with (
        pytest.raises(ValueError, match=r"lambda.*must lie at the top level of a module"),
        pool(1, shared=(lambda: 0,)),
    ):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, GeneratorExit])
def test_an_exception_does_not_wait_for_tasks(error: type[BaseException]) -> None:
    from astra.parallel.pool import pool

    sleep: Any = time.sleep
    started, long = 0.0, []

    def leave() -> None:
        nonlocal started, long
        with pool(2) as tasks:
            assert tasks.submit(os.getpid).result()  # the workers have started
            long = [tasks.submit(sleep, 60) for _ in range(5)]
            started = time.monotonic()
            raise error

    with pytest.raises(error):
        leave()
    assert time.monotonic() - started < 20
    assert all(task.done() for task in long)


def test_an_exception_does_not_wait_for_the_rest_of_a_result() -> None:
    from astra.parallel.pool import pool

    make: Any = bytes
    begun, ended = threading.Event(), threading.Event()

    def leave() -> None:
        with pool(1) as tasks:
            assert tasks.submit(os.getpid).result()
            receive = connection.Connection._recv  # pyright: ignore[reportAttributeAccessIssue]

            def noted(self: Any, size: int, *rest: Any) -> Any:
                if size >= 50_000_000:
                    begun.set()
                    time.sleep(0.5)  # meanwhile the worker is killed
                return receive(self, size, *rest)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection.Connection, "_recv", noted)
                tasks.submit(make, 50_000_000)
                assert begun.wait(30)
                raise KeyboardInterrupt

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            leave()
        ended.set()

    threading.Thread(target=interrupted, daemon=True).start()
    assert ended.wait(20)


def test_a_signal_to_the_whole_group_reaches_the_parent_as_a_signal() -> None:
    from astra.parallel.interruption import Terminated, sigterm_raises
    from astra.parallel.pool import pool

    sleep: Any = time.sleep

    def work() -> None:
        with sigterm_raises(), pool(1) as tasks:
            worker = tasks.submit(os.getpid).result()
            long = tasks.submit(sleep, 60)
            os.kill(worker, signal.SIGTERM)  # the worker dies first
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            long.result()

    with pytest.raises(Terminated):
        work()
