"""Ends the command at Ctrl-C with one line while modules are imported, when there is nothing yet to tidy up."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopping_at_once(stream: int = 2) -> Iterator[None]:
    """Let Ctrl-C end the process inside, without an exception.

    Inside an import KeyboardInterrupt may come out as an ImportError of a compiled module, or be shown and lost in a callback.

    Args:
        stream: the file descriptor that says so.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(*_: object) -> None:
        os.write(stream, b"Error: Stopped.\n")
        os._exit(1)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
