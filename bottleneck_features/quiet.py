"""Importing TensorFlow as a good neighbour: without its start-up lines, and taking only the GPU memory it needs."""

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from bottleneck_features.stopping import stopping_at_once

FRAMEWORK_LINE = re.compile(  # of the native log: its own lines, those of its libraries, and what they say before it is set up
    rb"WARNING: All log messages|[IWEF]\d{4} |\d{4}-\d\d-\d\d \S+ *\S* *[IWEF] |To enable the following|[IWEF]0000 |\s*$"
)


def import_tensorflow() -> None:
    """Import TensorFlow with its native log held back; if the import fails, what it said is shown; Ctrl-C ends a command.

    What other threads write to the error stream meanwhile comes when it is imported.

    Left to itself it takes all memory of a GPU at once, and a second process gets none.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        with _errors_into(held.fileno()) as terminal, stopping_at_once(terminal):
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
        held.seek(0)
        os.write(2, b"".join(line for line in held if not FRAMEWORK_LINE.match(line)))
    tf.get_logger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(tensorflow|keras|nncf)")


@contextmanager
def _errors_into(file: int) -> Iterator[int]:
    """Let the process' error stream go into a file; what an error left there is shown. Gives the stream as it was."""
    terminal = os.dup(2)
    os.dup2(file, 2)
    try:
        yield terminal
    except BaseException as error:
        os.dup2(terminal, 2)
        if not isinstance(error, KeyboardInterrupt):
            os.lseek(file, 0, os.SEEK_SET)
            with os.fdopen(os.dup(file), "rb") as held:
                os.write(2, held.read())
        raise
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
