"""The feature cache: identity, shards, manifest, reading, export; imports no deep-learning framework."""

import lazy_loader

if __name__ != "bottleneck_features.features":
    raise ImportError("`features` is a part of bottleneck-features: import bottleneck_features.features instead.")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
