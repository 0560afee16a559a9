"""Ctrl-C and SIGTERM as a request to stop, which the training loop meets between two updates."""

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Context in which the first SIGINT or SIGTERM sets `requested`, and the second acts as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        """Install the handlers; outside the main thread, where Python does not allow it, do nothing."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())  # pyright: ignore[reportArgumentType]
