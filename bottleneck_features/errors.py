"""The base of all errors that a caller may want to catch."""


class BottleneckError(Exception):
    """Something that a user can put right; the message says how.

    Attributes:
        exit_code: what the command line ends with: 1, the work failed; 2, the request was wrong.
    """

    exit_code = 1
