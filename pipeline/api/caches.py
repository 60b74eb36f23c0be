"""Opening a cache from Python; nothing heavy is imported for it."""

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck_features import features

if TYPE_CHECKING:
    from bottleneck_features.pipeline.api.extractor import CacheExtractor


class Cache(features.Features):
    """An open cache: a mapping of split names to `Split`, with what makes more features like it."""

    def extractor(self) -> "CacheExtractor":
        """Return what makes features of new images exactly as these were made, a transformer of scikit-learn.

        Returns:
            A `CacheExtractor`: `extractor().transform(paths)` is float32 `(n, d)`, the layers side by side.

        Raises:
            RequestError: they cannot be made here: the cache was imported, its weights, decoder, engine or precision are not
                here; names each field with both values.
            models.ModelError: the backbone's weights are not here.

        Examples:
            >>> cache = bf.open_features("artifacts/features/digits-efficientnet-lite0-0f3a9c1e")
            >>> x = cache.extractor().transform(["new.png"])
        """
        from bottleneck_features.pipeline.api.extractor import CacheExtractor

        return CacheExtractor(self.path).fit()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_features, (str(self.path),)


def open_features(path: str | PathLike[str]) -> Cache:
    """Open a finished feature cache without reading its features; see `features.open_features` for all that is checked.

    Args:
        path: a cache's folder, or the manifest in it; or the URL of a cache in an object store (`s3://…`), which is
            fetched into `features` of the artifacts folder first ($BOTTLENECK_HOME, default `artifacts`).

    Returns:
        A mapping of split names to splits (`x`, `y`, `ids`, `groups`), which stay on disk until they are sliced; its
        `extractor()` makes features of new images by the same recipe.

    Raises:
        CacheMissing: there is no cache.
        CacheIncomplete: its extraction has not finished.
        CacheDamaged: a file is missing, truncated or out of line; the message names it.
        CacheError: of another kind, see `features.open_features`.

    Examples:
        >>> train = bf.open_features("artifacts/features/digits-efficientnet-lite0-0f3a9c1e")["train"]
        >>> model.fit(train.x[:], train.y)
    """
    if isinstance(path, str | PathLike) and fspath(path) and not features.is_url(fspath(path)):
        path = Path(path).absolute()
    return features.open_as(Cache, path)
