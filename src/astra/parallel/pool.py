"""Pools of workers: processes of this machine, or of a Ray cluster.

    with pool(workers, shared=(agent, make_environment)) as tasks:
        futures = [tasks.submit(play, cases) for cases in shares]    # play(agent, make_environment, cases)

Functions, arguments and results are pickled. On a cluster, every machine needs the same version of Astra.
"""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

from astra.parallel.parent import end_with_parent

R = TypeVar("R")

ONE_THREAD: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a worker. More threads do not speed up small matrices, and slow down the other workers."""
SIGNAL_SECONDS = 0.5
"""Seconds in which a signal that has ended a worker, such as from a cluster's scheduler, reaches its parent too."""


@runtime_checkable
class Pool(Protocol):
    """Pool of workers that takes tasks."""

    workers: int
    """Number of tasks that run at the same time."""

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        """Queue `function(*shared, *arguments)`; the future's `result()` raises its errors."""
        ...


@contextmanager
def pool(workers: int, *, cluster: str | None = None, shared: tuple[Any, ...] = ()) -> Iterator[Pool]:
    """Yield a pool of workers with one thread each; tasks that have not started when the block ends are dropped.

    Workers on this machine ignore Ctrl-C, which their parent answers, and end with it, even if it is killed. If the
    block ends by an exception, they are killed, whatever they do.

    Args:
        workers: number of processes on this machine. A cluster always has one worker per CPU.
        cluster: address of a Ray cluster, or auto for the cluster of this machine. None: this machine only.
        shared: first arguments of every task, sent to each worker once.

    Raises:
        ValueError: if the number of workers is below 1, or something shared cannot be pickled.
        ImportError: if Ray is not installed.
        ConnectionError: if the cluster does not answer.
    """
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    with _local(workers, shared) if cluster is None else _ray(cluster, shared) as tasks:
        yield tasks


class _LocalPool:
    def __init__(self, executor: ProcessPoolExecutor, workers: int) -> None:
        self.executor = executor
        self.workers = workers

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a worker that is started here inherits it
        try:
            return self.executor.submit(_call, function, arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _local(workers: int, shared: tuple[Any, ...]) -> Iterator[Pool]:
    context = multiprocessing.get_context("spawn")  # fork would copy the locks of PyTorch's threads
    try:
        packed = pickle.dumps(shared)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{error}: worker processes import the classes and functions that they use, so those must lie at the top "
            "level of a module, and not be lambdas"
        ) from error
    executor = ProcessPoolExecutor(workers, context, _start, (packed,))
    with one_thread_each():  # workers start with the first tasks
        try:
            yield _LocalPool(executor, workers)
        except BrokenProcessPool:
            time.sleep(SIGNAL_SECONDS)
            raise
        except BaseException:
            # Python has a method for this only from 3.14. This end is closed too, or the rest of a result
            # that a kill cuts off is awaited for ever.
            executor._result_queue._writer.close()  # pyright: ignore[reportAttributeAccessIssue]
            for process in list((executor._processes or {}).values()):
                process.kill()
            raise
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Set the environment for one thread in processes that are started in the block."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_shared: tuple[Any, ...]
"""Shared arguments of this worker process."""


def _start(shared: bytes) -> None:
    """Start a worker; it watches its parent before it unpickles, which may import for seconds."""
    global _shared
    end_with_parent()
    _shared = pickle.loads(shared)


def _call(function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
    return function(*_shared, *arguments)


class _RayPool:
    def __init__(self, ray: Any, shared: tuple[Any, ...]) -> None:
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.shared = [ray.put(value) for value in shared]
        self.task = ray.remote(num_cpus=1)(_call_with)  # which sets one thread
        self.references: list[Any] = []

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:
        reference = self.task.remote(function, arguments, *self.shared)
        self.references.append(reference)
        future: Future[R] = Future()

        def done(finished: Future[R]) -> None:
            if future.cancelled():
                return
            if (error := finished.exception()) is None:
                future.set_result(finished.result())
            else:
                future.set_exception(
                    getattr(error, "cause", None) or error
                )  # the original error, as from a local worker

        reference.future().add_done_callback(done)
        return future


def _call_with(function: Callable[..., R], arguments: tuple[Any, ...], *shared: Any) -> R:
    return function(*shared, *arguments)


@contextmanager
def _ray(cluster: str, shared: tuple[Any, ...]) -> Iterator[Pool]:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("--cluster needs Ray: run pip install '.[cluster]' in Astra's folder") from error
    joined = not ray.is_initialized()
    if joined:
        try:
            ray.init(address=cluster, log_to_driver=False)
        except ConnectionError as error:
            raise ConnectionError(
                f"no Ray cluster answers at {cluster!r} ({error}): start one with `ray start --head`, or leave out "
                f"--cluster to use this machine only"
            ) from error
    tasks = _RayPool(ray, shared)
    try:
        yield tasks
    finally:
        for reference in tasks.references:
            ray.cancel(reference, force=False)
        if joined:
            ray.shutdown()
