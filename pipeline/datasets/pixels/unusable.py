"""The reason why a file cannot be an image."""


class UnusableImage(Exception):
    """A file that cannot be an image of a data set; the message is the reason, in one line."""


class RefusedBySetting(UnusableImage):
    """An image that another setting would let pass.

    Args:
        message: the reason, with the setting as the command line has it.
        reason: the reason alone.
        setting: the setting, such as `dataset.max_pixels`.
    """

    def __init__(self, message: str, reason: str, setting: str) -> None:
        super().__init__(message, reason, setting)
        self.reason, self.setting = reason, setting

    def __str__(self) -> str:
        return str(self.args[0])
