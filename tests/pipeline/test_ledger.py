"""The ledger of looks at test images: what counts as a look, and that no crash, editor or other process spoils it."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from commandline import SMALL, invoke
from hypothesis import given
from hypothesis import strategies as st
from strangers import ODD

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.evaluation.ledger import (
    LEDGER_FILE,
    OFTEN,
    Looks,
    answers_digest,
    content_digest,
    record_look,
)
from bottleneck_features.pipeline.evaluation.splits import Subset

IMAGES = "0" * 64


def _look(home: Path, answers: str, images: str = IMAGES, command: str = "probe") -> Looks:
    return record_look(home, images, command=command, methods=4, answers=answers)


def _several(home: Path, first: int) -> None:
    for number in range(first, first + 10):
        _look(home, str(number))


def test_every_other_outcome_of_a_command_is_a_look_and_its_repetition_is_none(tmp_path):
    today = datetime.now(UTC).date().isoformat()
    assert _look(tmp_path, "a") == Looks(1, today)
    assert _look(tmp_path, "a").count == 1
    assert _look(tmp_path, "b").count == 2
    assert _look(tmp_path, "b", command="compare").count == 3
    assert _look(tmp_path, "a", images="1" * 64).count == 1
    assert _look(tmp_path, "a").count == 3
    assert len((tmp_path / LEDGER_FILE).read_text().splitlines()) == 4


def test_the_first_day_of_a_ledger_is_told(tmp_path):
    lines = [{"images": IMAGES, "look": str(day), "date": f"2026-05-{day}"} for day in (20, 17, 18)]
    lines.append({**lines[1], "date": "2026-06-01"})
    (tmp_path / LEDGER_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert _look(tmp_path, "a") == Looks(4, "2026-05-17")


@given(
    st.lists(st.one_of(ODD, st.fixed_dictionaries({"images": st.just(IMAGES), "look": ODD, "date": ODD})), max_size=5)
)
def test_damaged_lines_are_passed_over(tmp_path_factory, odd):
    home = tmp_path_factory.mktemp("home")
    _look(home, "a")
    with (home / LEDGER_FILE).open("ab") as file:
        file.write("".join(json.dumps(line) + "\n" for line in odd).encode() + b'\xff\0\n{"images": "')
    assert _look(home, "a").count == 1
    assert _look(home, "b").count == 2
    assert _look(home, "c").count == 3


def test_looks_at_the_same_time_are_all_counted(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_several, [tmp_path] * 4, range(0, 40, 10)))
    assert _look(tmp_path, "0").count == 40


def test_many_looks_are_warned_of():
    assert Looks(OFTEN, "2026-05-17").warnings() == ()
    (warning,) = Looks(OFTEN + 1, "2026-05-17").warnings()
    assert f"scored {OFTEN + 1} times since 2026-05-17" in warning
    assert "dataset.split_seed" in warning
    assert "--home" in warning


def test_neither_order_nor_names_nor_labels_make_other_images():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)

    def digest(order: np.ndarray, label: int) -> str:
        samples = Samples(np.array([f"{label} {i}" for i in range(len(order))]), np.full(len(order), label))
        dataset = ArrayDataset("x", ("a", "b"), {"test": pixels[order]}, {"test": samples})
        return content_digest(dataset, Subset("test", np.arange(len(order))))

    assert digest(np.arange(6), 0) == digest(np.arange(6)[::-1], 1)
    assert digest(np.arange(6), 0) != digest(np.arange(5), 0)


def test_the_order_of_methods_does_not_matter_and_their_answers_do():
    one, other = np.array([0, 1, 1]), np.array([0, 1, 0])
    assert answers_digest({"a": one, "b": other}) == answers_digest({"b": other, "a": one})
    assert answers_digest({"a": one, "b": other}) != answers_digest({"a": other, "b": one})


def test_a_result_says_how_often_its_test_images_were_scored(extracted):
    settings, counts = ("--set", "head.epochs=3"), []
    for words in (settings, settings, (*settings, "--set", "head.learning_rate=0.02")):
        done = invoke("train-head", *SMALL, *words, "--json", home=extracted)
        counts.append(json.loads(done.stdout)["test_looks"]["count"])
    assert counts[0] == counts[1] == counts[2] - 1
