"""Object stores and other places with a URL, by fsspec, which is needed only there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck_features.errors import first_line
from bottleneck_features.features.errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EXTRA = "pip install 'bottleneck-features[store]'"


def is_url(place: Path | str) -> bool:
    """Return whether a place is a URL such as `s3://bucket/prefix`, and not a path."""
    return "://" in str(place)


def filesystem(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, and the path in it.

    Args:
        url: such as `s3://bucket/prefix`, `gs://…`, `hdfs://…`, `memory://…`; credentials and endpoints come from where
            its library looks for them (for S3: the environment or `~/.aws`).

    Raises:
        StoreUnavailable: a package is missing, or there is no such kind of URL.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise StoreUnavailable(f"'{url}' needs fsspec and, for S3, s3fs: {EXTRA}") from error
    try:
        found, path = url_to_fs(url)
    except ImportError as error:
        raise StoreUnavailable(f"'{url}': {error}. For S3: {EXTRA}; other stores need fsspec's own package.") from error
    except ValueError as error:
        raise StoreUnavailable(f"'{url}' cannot be opened: {error}. Such as: s3://bucket/prefix, gs://…") from error
    return found, path


def store_error(error: Exception, url: str) -> StoreError:
    """Return the `StoreError` that tells a user, in one line, why a store did not do what it was asked."""
    return StoreError(
        f"'{url}': {first_line(error)}. Check the URL, the network and the credentials (for S3: AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, or ~/.aws). What is finished is kept: run the same command again."
    )
