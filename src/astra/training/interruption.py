"""Ctrl-C and SIGTERM as a request, which the loop meets between two updates."""

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """While the block runs, the first SIGINT or SIGTERM sets `requested`; the second acts as it did before."""

    def __init__(self) -> None:
        """Begin without a request."""
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        """Watch the two signals; Python allows that in the main thread only, elsewhere nothing changes."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the handlers from before back."""
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())  # pyright: ignore[reportArgumentType]
