"""The lines by which the package is introduced, on real photographs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import bottleneck_features as bf


@pytest.fixture(scope="module")
def pictures(real_data, tmp_path_factory) -> Path:
    """20 photographs of each of two classes."""
    root = tmp_path_factory.mktemp("three-lines") / "pictures"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for path in sorted((real_data / "mini_natural_images" / "val" / name).glob("*.jpg"))[:20]:
            (root / name / path.name).symlink_to(path)
    return root


def test_the_lines_that_introduce_the_package_run(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOTTLENECK_HOME", raising=False)
    result = bf.run(pictures, minutes=0, head={"epochs": 5})
    assert result.verdict
    assert len(result.table) > 2
    assert result.report.is_file()

    paths = sorted(pictures.glob("*/*.jpg"))
    extractor = bf.Extractor("efficientnet-lite0", layers=["block5c_add", "top_activation"])
    x = extractor.fit_transform(paths)
    assert x.shape == (40, 112 + 1280)
    by_pillow = extractor.transform([Image.open(path) for path in paths])
    assert (
        np.corrcoef(x.ravel(), by_pillow.ravel())[0, 1] > 0.99
    )  # a large JPEG is shrunk by libjpeg first, see Extractor

    pipe = make_pipeline(bf.Extractor("efficientnet-lite0"), LogisticRegression(max_iter=1000))
    labels = [path.parent.name for path in paths]
    assert pipe.fit(paths[::2], labels[::2]).score(paths[1::2], labels[1::2]) > 0.8

    cache = bf.open_features(result.cache)
    new = cache.extractor().transform([pictures / name for name in cache["train"].ids])
    kept = np.concatenate([array[:] for array in cache["train"].features.values()], axis=1)
    np.testing.assert_array_equal(new, kept.astype(np.float32))

    model = bf.load_model(result.model)
    assert model.predict_proba(paths).shape == (40, 2)
    assert model.classes_.tolist() == ["cat", "dog"]
    assert model.score(paths, labels) > 0.9
