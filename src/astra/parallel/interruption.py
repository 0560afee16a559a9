"""Ctrl-C and SIGTERM: as an exception, as a request that a loop meets, or held back until something is written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

STOPS = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to stop."""


class Terminated(KeyboardInterrupt):
    """Request to stop by SIGTERM, raised where Ctrl-C raises `KeyboardInterrupt`."""


class Interruption:
    """Context in which the first SIGINT or SIGTERM sets `requested`, and the second acts as usual."""

    def __init__(self) -> None:
        self.requested: int | None = None
        """Number of the signal; None: no signal so far."""
        self._raises = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        """Install the handlers; outside the main thread, where Python does not allow it, do nothing."""
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        self._restore()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise in the block, which is long and loses nothing, as soon as there is a signal, or at its start."""
        self._raises = True
        try:
            if self.requested is not None:
                raise self.error("stopped by a signal")
            yield
        finally:
            self._raises = False

    def error(self, message: str) -> KeyboardInterrupt:
        """Return the exception that stands for the signal."""
        return Terminated(message) if self.requested == signal.SIGTERM else KeyboardInterrupt(message)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = number
        self._restore()
        if self._raises:
            raise self.error("stopped by a signal")

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())  # pyright: ignore[reportArgumentType]


@contextmanager
def held_back() -> Iterator[None]:
    """Hold the first SIGINT or SIGTERM back until the block ends, so that what it writes is complete."""
    with Interruption() as interruption:
        yield
    if interruption.requested is not None:
        signal.raise_signal(interruption.requested)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` in the block on SIGTERM; outside the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated("stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
