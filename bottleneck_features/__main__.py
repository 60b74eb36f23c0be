"""`python -m bottleneck_features` is the command `bottleneck`."""

import gc
import os
import sys

from bottleneck_features.stopping import stopping_as_ctrl_c_does, stopping_at_once, this_process_is_a_command


def main() -> None:
    """Run the command line, which takes a while to import: Ctrl-C ends that too with one line."""
    this_process_is_a_command()
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115, PTH123
    try:
        with stopping_at_once():
            from bottleneck_features.pipeline.commandline import cli
        stopping_as_ctrl_c_does()
        cli.main()
    except KeyboardInterrupt:  # between the two, or after the command
        sys.exit("Error: Stopped.")
    finally:
        # Ctrl-C within the last exec of a text, as in imports, would make Python end by SIGINT instead of our exit code.
        exec("")
        gc.freeze()  # Python would look through all that TensorFlow has imported once more, a second, before it ends


if __name__ == "__main__":
    main()
