"""The reason why a file cannot be an image."""


class UnusableImage(Exception):
    """A file that cannot be an image of a data set; the message is the reason, in one line."""
