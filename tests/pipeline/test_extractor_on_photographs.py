"""`bf.Extractor` on real photographs and real weights: what scikit-learn finds with it is what the commands find."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke

import bottleneck_features as bf

# A caller's script, run as it stands: layers and C chosen by a grid search, the crops of one photograph kept together.
SCRIPT = """
import csv
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bottleneck_features as bf

rows = list(csv.DictReader(Path(folder, "train.csv").open()))
paths = [Path(folder, "images", row["image_names"]) for row in rows]
labels, photos = [row["emergency_or_not"] for row in rows], [row["photo"] for row in rows]
pipe = make_pipeline(bf.Extractor(home=home), StandardScaler(), LogisticRegression(max_iter=1000))
early, late = "block5c_add", "top_activation"
grid = {"extractor__layers": [[early], [late], [early, late]], "logisticregression__C": [0.0001, 0.001, 0.01]}
folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
search = GridSearchCV(pipe, grid, cv=folds).fit(paths, labels, groups=photos)
"""


@pytest.fixture(scope="module")
def photographs(real_data, tmp_path_factory) -> Path:
    """25 photographs of each of eight classes."""
    root = tmp_path_factory.mktemp("photographs")
    for folder in sorted((real_data / "mini_natural_images" / "val").iterdir()):
        (root / folder.name).mkdir()
        for path in sorted(folder.glob("*.jpg"))[:25]:
            (root / folder.name / path.name).symlink_to(path)
    return root


@pytest.mark.slow
def test_a_grid_search_over_layers_and_c_is_as_accurate_as_probe(real_data, tmp_path):
    assert len(SCRIPT.strip().splitlines()) <= 20
    data = real_data / "emergency_small"
    names = {"folder": str(data), "home": str(tmp_path)}
    exec(SCRIPT, names)
    search = names["search"]
    scores = np.array([search.cv_results_[f"split{i}_test_score"][search.best_index_] for i in range(5)])
    words = (str(data / "train.csv"), "--set", "dataset.group=photo")
    assert invoke("features", *words, home=tmp_path).exit_code == 0
    done = invoke("probe", *words, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    (probe,) = [row for row in json.loads(done.stdout)["methods"] if row.get("kept")]
    print(f"{probe['name']} {probe['layers']} {probe['accuracy']}, {search.best_params_} {scores} {scores.mean():.3f}")
    assert abs(probe["accuracy"]["cross_validated"] - scores.mean()) <= scores.std(ddof=1)


@pytest.mark.slow
def test_a_cache_of_a_real_resnet_50_gives_its_rows_again(photographs, real_data, tmp_path):
    weights = real_data / "weights" / "resnet50_v15_pqf.keras"
    words = [f"backbone.name={weights}", "backbone.layers=conv4_block6_out,conv5_block3_out"]
    done = invoke(
        "features", str(photographs), *(word for one in words for word in ("--set", one)), "--json", home=tmp_path
    )
    assert done.exit_code == 0, done.output
    cache = bf.open_features(json.loads(done.stdout)["cache"])
    split = cache["train"]
    files = [photographs / name for name in split.ids[:40]]
    x = cache.extractor().set_params(cache=None).transform(files)
    expected = np.concatenate([split.features[layer][:40] for layer in cache.layers], axis=1)
    np.testing.assert_array_equal(x, expected.astype(np.float32))
    own = bf.Extractor(str(weights), ["conv4_block6_out", "conv5_block3_out"], home=tmp_path)
    np.testing.assert_array_equal(own.transform(files), x)
    assert [path.name for path in (tmp_path / "features").glob("*/manifest.json")] == ["manifest.json"]
