"""A network in its publisher's folder goes through every command, and a head of it needs the folder no more."""

import json

import pytest
from commandline import bottleneck, invoke
from PIL import Image
from published import write_folder

pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    (folder / "tiny-dino").mkdir()
    write_folder("dinov2", folder / "tiny-dino")
    Image.effect_noise((40, 40), 60).convert("RGB").save(folder / "a.png")
    return folder


@pytest.fixture(scope="module")
def words(place):
    given = (f"backbone.name={place / 'tiny-dino'}", "input.size=28,28", "dataset.limit=40", "head.epochs=2")
    return ("-e", "photo-patches", *(word for value in given for word in ("--set", value)))


@pytest.fixture(scope="module")
def home(place, words):
    done = bottleneck("features", *words, "--json", home=place / "home")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"] == {"norm": [32]}
    for command in ("train-head", "probe"):
        done = invoke(command, *words, home=place / "home")
        assert done.exit_code == 0, done.output
    return place / "home"


def test_features_say_where_the_network_is_from(words, home):
    done = invoke("features", *words, home=home)
    assert "tiny-dino (its files state no licence)" in done.output
    result = json.loads((home / "runs" / "photo-patches" / "features" / "result.json").read_text())
    assert result["images"] == 0
    assert (result["experiment"]["backbone"]["layers"], result["experiment"]["features"]["pooling"]) == (
        ["norm"],
        ["cls"],
    )


def test_a_head_predicts_where_the_folder_is_gone(place, home):
    before = invoke("predict", "-e", "photo-patches", "--model", "probe", str(place / "a.png"), home=home)
    assert before.exit_code == 0, before.output
    (place / "tiny-dino").rename(place / "elsewhere")
    try:
        after = invoke("predict", "-e", "photo-patches", "--model", "probe", str(place / "a.png"), home=home)
        missing = invoke("features", "-e", "photo-patches", "--set", f"backbone.name={place / 'tiny-dino'}", home=home)
    finally:
        (place / "elsewhere").rename(place / "tiny-dino")
    assert after.exit_code == 0, after.output
    assert after.stdout == before.stdout
    assert missing.exit_code == 2
    assert "There is no folder or file" in missing.output


def test_it_is_exported_with_exact_gelu(words, home):
    done = invoke("export", *words, "--model", "train-head", "--format", "onnx", home=home)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_it_is_fine_tuned_and_comes_back_the_same(place, words, home):
    done = invoke("fine-tune", *words, "--set", "finetune.epochs=1", home=home)
    assert done.exit_code == 0, done.output
    for _ in range(2):
        done = invoke("predict", "-e", "photo-patches", "--model", "fine-tune", str(place / "a.png"), home=home)
        assert done.exit_code == 0, done.output
    done = invoke("export", *words, "--model", "fine-tune", "--format", "keras", home=home)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("features.pooling=pooler", "layer 'norm' is no pooler's vector"),
        ("backbone.layers=block9", "has no layer 'block9'. Nearest: 'block"),
        ("input.size=30,30", "multiples of 7, such as 28,28"),
        ("backbone.weights=/etc/hostname", "has its weights in its own folder"),
    ],
)
def test_what_it_has_not_is_said(value, says, words, home):
    done = invoke("features", *words, "--set", value, home=home)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


def test_a_kept_experiment_finds_its_network_from_everywhere(place, monkeypatch, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            Image.effect_noise((40, 40), 20 + 10 * number).convert("RGB").save(
                tmp_path / "pictures" / name / f"{number}.png"
            )
    monkeypatch.chdir(place)
    words = (str(tmp_path / "pictures"), "--set", "backbone.name=tiny-dino", "--set", "input.size=28,28")
    done = invoke("features", *words, home=tmp_path / "home")
    assert done.exit_code == 0, done.output
    monkeypatch.chdir(tmp_path)
    done = invoke("features", "-e", "pictures", "--json", home=tmp_path / "home")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["images"] == 0
    done = invoke(
        "features",
        "-e",
        "pictures",
        "--set",
        "backbone.name=efficientnet-lite0",
        "--set",
        "input.size=32,32",
        home=tmp_path / "home",
    )
    assert done.exit_code == 0, done.output


def test_images_of_another_size_than_published_are_noted(words, home):
    done = invoke("features", *words, home=home)
    assert "bicubic; here it sees 28×28, bilinear" in " ".join(done.output.split())
