"""Errors a user can cause, each with the exit code it ends the command with."""

from bottleneck_features.errors import BottleneckError


class PipelineError(BottleneckError):
    """The work failed for a reason the message explains (exit code 1)."""


class RequestError(PipelineError):
    """The request itself was wrong; the message names the key or option and the nearest valid values (exit code 2)."""

    exit_code = 2


class NoCache(RequestError):
    """There is no cache with exactly the requested features; they have to be extracted first."""

    remedy = "Type first: bottleneck features"


class ChangedImage(PipelineError):
    """An image has changed since it was scanned: restore it, or read all images again."""

    remedy = "To start again with the images as they are now: bottleneck features --rehash"


class DownloadError(PipelineError):
    """A file could not be downloaded; the message names the file, where it goes and which setting takes a local copy."""
