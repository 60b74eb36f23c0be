"""What is a pre-trained network worth on your images: bottleneck features, extracted once and compared honestly.

    import bottleneck_features as bf

    train = bf.open_features("artifacts/features/…")["train"]
    train.x, train.y, train.ids

Importing this package loads neither TensorFlow nor any other heavy library; what a name needs is imported when it is used.
"""

from pathlib import Path

import lazy_loader

if (Path(__file__).parent / "pipeline").is_file():
    raise ImportError(
        "This checkout of bottleneck-features has files where it should have symbolic links. On Windows turn on the "
        "developer mode, then type: git config core.symlinks true && git checkout -- bottleneck_features. "
        "Or install the wheel, which needs no links."
    )

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
