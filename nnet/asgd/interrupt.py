"""Ctrl-C as something to look at between two steps: in the middle of one, nothing is whole."""

import signal
from types import FrameType, TracebackType


class Interrupt:
    """Notes the first Ctrl-C in its context; a second one ends the program at once, in case saving takes too long."""

    def __init__(self) -> None:
        self.noted = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
