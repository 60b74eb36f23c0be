"""Ends the command at Ctrl-C, or when the system asks it to end, with one line and nothing half done."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_ends_itself = False
_was_asked = False


def this_process_is_a_command() -> None:
    """Let `stopping_at_once` end this process from now on; one that others have started, such as a notebook's, it never ends."""
    global _ends_itself
    _ends_itself = True


def stopping_as_ctrl_c_does() -> None:
    """Let what a batch system or a closed terminal sends (SIGTERM, SIGHUP) do what Ctrl-C does.

    Who ignores a signal, as `nohup` does, goes on ignoring it.
    """
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    global _was_asked
    _was_asked = True
    raise KeyboardInterrupt


@contextmanager
def stopping_is_heard() -> Iterator[None]:
    """Raise KeyboardInterrupt for every error after this process was asked to end.

    Compiled code that calls Python, such as OpenVINO's converter, makes errors of its own of a KeyboardInterrupt.
    """
    try:
        yield
    except Exception as error:
        if _was_asked:
            raise KeyboardInterrupt from error
        raise


@contextmanager
def stopping_at_once(stream: int = 2) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end a command's process inside, without an exception; any other process as it would be.

    Inside an import KeyboardInterrupt may come out as an ImportError of a compiled module, or be shown and lost in a callback.

    Args:
        stream: the file descriptor that says so.
    """
    ours = _ends_itself and threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if ours else {}
    heeded = {
        number: handler
        for number, handler in before.items()
        if handler in (signal.default_int_handler, signal.SIG_DFL, _interrupt)
    }

    def stop(*_: object) -> None:
        os.write(stream, b"Error: Stopped.\n")
        os._exit(1)

    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
