"""Errors a user can cause, each with the exit code it ends the command with."""

from bottleneck_features.errors import BottleneckError
from bottleneck_features.errors import nearest as nearest


class PipelineError(BottleneckError):
    """The work failed for a reason the message explains (exit code 1)."""


class RequestError(PipelineError):
    """The request itself was wrong; the message names the key or option and the nearest valid values (exit code 2)."""

    exit_code = 2


class NoCache(RequestError):
    """There is no cache with exactly the features that were asked for; extracting them is what helps."""

    helps = "Type first: bottleneck features"


class ChangedImage(PipelineError):
    """An image is no longer what was scanned; put back, or all read again, it can be used."""

    helps = "To start again with the images as they are now: bottleneck features --rehash"


class DownloadError(PipelineError):
    """A file could not be downloaded; the message names the file, where it goes and which setting takes a local copy."""
