"""`python -m pipeline` is the command `bottleneck`."""

from pipeline.stopping import stopping_at_once


def main() -> None:
    """Run the command line, which takes a while to import: Ctrl-C ends that too with one line."""
    with stopping_at_once():
        from pipeline.commandline import cli
    cli.main()


if __name__ == "__main__":
    main()
