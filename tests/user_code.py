"""What a user writes, for mypy: `make lint` checks it against the public names; what is ignored must be an error."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import bottleneck_features as bf


def answered(folder: Path) -> str:
    result: bf.Result = bf.run(folder, minutes=3, backbone="resnet50", size=(200, 200), head={"epochs": 3})
    page: Path = result.report
    return f"{result.verdict} {page}"


def step_by_step(experiment: bf.Experiment) -> list[Path]:
    bf.inspect(experiment, home="artifacts", dataset={"limit": 100})
    cache = bf.open_features(bf.extract(experiment, wait=10).cache)
    names: tuple[str, ...] = cache.class_names
    assert len(names) == len(set(cache["train"].y.tolist()))
    try:
        return [bf.probe(experiment, folds=5).model, *bf.compare(experiment, seeds=3).files]
    except bf.BottleneckError as error:
        raise SystemExit(error.exit_code) from error


def in_scikit_learn(paths: list[Path], labels: list[str]) -> float:
    extractor = bf.Extractor("efficientnet-lite0", layers=["block5c_add"], size=(96, 96), cache=None)
    rows: np.ndarray = extractor.fit(paths).transform(paths)
    pipe = make_pipeline(extractor, LogisticRegression())
    return float(pipe.fit(paths, labels).score(paths, labels)) + rows.mean()


def trained(file: Path, cache: Path, paths: list[Path]) -> np.ndarray:
    model = bf.load_model(file)
    split = bf.open_features(cache)["train"][:100]
    print(split.frame(), model.predict(paths), model.unlike(paths), bf.predict(model, paths, top=1).table)
    more: np.ndarray = bf.open_features(cache).extractor().transform(paths)
    return model.predict_proba(paths) @ more


def mistaken() -> None:
    bf.Extractor(layer="block5c_add")  # type: ignore[call-arg]
    bf.load_model(3)  # type: ignore[arg-type]
    bf.run(3)  # type: ignore[arg-type]
    bf.run("pictures", epochs=3)  # type: ignore[call-arg]
    bf.run("pictures", head=3)  # type: ignore[arg-type]
    bf.label_curve("pictures", ["all"])  # type: ignore[list-item]
    bf.extracted("pictures")  # type: ignore[attr-defined]
