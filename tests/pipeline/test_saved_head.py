"""A head can come from anyone: it is whole and right, or it is refused by name."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import strangers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.methods.saved_head import load_head

LIMITS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


@pytest.fixture(scope="module")
def arrays(trained: Path) -> dict[str, np.ndarray]:
    with np.load(trained / "runs" / "digits" / "train-head" / "head.npz") as content:
        return dict(content)


def _written(path: Path, arrays: dict[str, np.ndarray], **changes) -> Path:
    np.savez(path, **{**arrays, **changes})
    return path


def _recipe_mutations(arrays: dict[str, np.ndarray], path: Path, count: int) -> None:
    recipe = json.loads(str(arrays["recipe"]))
    features = arrays["coefficients"].shape[1]

    @settings(max_examples=count, **LIMITS)
    @given(strangers.changed(recipe))
    def tried(changed: dict) -> None:
        _written(path, arrays, recipe=np.array(json.dumps(changed)))
        try:
            head = load_head(path)
        except RequestError:
            return
        assert np.isfinite(head.probabilities(np.ones((2, features)))).all()
        assert np.isfinite(head.novelty.distances(np.ones((2, features)))).all()

    tried()


def test_whatever_a_recipe_says_it_is_refused_or_gives_probabilities(arrays, tmp_path):
    _recipe_mutations(arrays, tmp_path / "head.npz", 100)


@pytest.mark.slow
def test_whatever_600_recipes_say_they_are_refused_or_give_probabilities(arrays, tmp_path):
    _recipe_mutations(arrays, tmp_path / "head.npz", 600)


@pytest.mark.parametrize(
    "key", ["classes", "temperature", "layers", "cache_identity", "experiment", "averages", "views", "n"]
)
def test_a_missing_key_is_named(arrays, tmp_path, key):
    recipe = json.loads(str(arrays["recipe"]))
    del recipe[key]
    path = _written(tmp_path / "head.npz", arrays, recipe=np.array(json.dumps(recipe)))
    with pytest.raises(RequestError, match=rf"head.*{key}: Field required"):
        load_head(path)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1", None, True, 1e300])
def test_a_temperature_that_gives_no_probabilities_is_refused(arrays, tmp_path, value):
    recipe = {**json.loads(str(arrays["recipe"])), "temperature": value}
    path = _written(tmp_path / "head.npz", arrays, recipe=np.array(json.dumps(recipe)))
    with pytest.raises(RequestError, match=r"head.*(temperature|no finite number)"):
        load_head(path)


@given(data=st.data())
@settings(max_examples=60, **LIMITS)
def test_arrays_that_do_not_fit_are_refused(arrays, tmp_path, data):
    names = [name for name in arrays if name != "recipe"]
    name = data.draw(st.sampled_from(names))
    own = arrays[name]
    odd = data.draw(
        st.sampled_from(
            [
                np.full(own.shape, np.nan), np.zeros((*own.shape, 1)), np.zeros(0), np.array("text"), np.zeros((3, 3)),
                np.array(-1), own.astype(complex),
            ]
        )
    )  # fmt: skip
    path = _written(tmp_path / "head.npz", arrays, **{name: odd})
    with pytest.raises(RequestError, match="head"):
        load_head(path)


def test_what_is_no_plain_archive_is_refused_at_once(arrays, tmp_path):
    path = tmp_path / "head.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(RequestError, match="compressed"):
        load_head(path)
    np.savez(path, **{**arrays, "intercept": np.array([{}], object)}, allow_pickle=True)
    with pytest.raises(RequestError, match="head"):
        load_head(path)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("coefficients.npy", stream.getvalue())
    with pytest.raises(RequestError, match="head"):
        load_head(path)
