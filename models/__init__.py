"""What computes: backbones and their weights, the compiled extractor, heads, linear probes and the small ConvNets."""

import lazy_loader

if __name__ != "bottleneck_features.models":
    raise ImportError("`models` is a part of bottleneck-features: import bottleneck_features.models instead.")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
