"""The base of all errors that a caller may want to catch."""


class BottleneckError(Exception):
    """Something that a user can put right; the message says how.

    Attributes:
        exit_code: what the command line ends with: 1, the work failed; 2, the request was wrong.
        helps: what to type, as `Type first: bottleneck …`; the command line adds it with the words that name the experiment.
    """

    exit_code = 1
    helps = ""
