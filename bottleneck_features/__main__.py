"""`python -m bottleneck_features` is the command `bottleneck`."""

from bottleneck_features.pipeline.stopping import stopping_at_once


def main() -> None:
    """Run the command line, which takes a while to import: Ctrl-C ends that too with one line."""
    with stopping_at_once():
        from bottleneck_features.pipeline.commandline import cli
    cli.main()


if __name__ == "__main__":
    main()
