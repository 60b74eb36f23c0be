"""Importing TensorFlow without the start-up lines it writes past Python to the error stream."""

import logging
import os
import sys
import tempfile
import warnings


def import_tensorflow() -> None:
    """Import TensorFlow with its native log held back; if the import fails, what it said is shown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
    tf.get_logger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(tensorflow|keras|nncf)")
