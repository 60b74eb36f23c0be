import dataclasses

import numpy as np
import pytest

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import BackboneSettings
from bottleneck_features.pipeline.experiment_file import load_experiment, ready_made
from bottleneck_features.pipeline.resolved_experiment import asked_preprocessing


@pytest.mark.parametrize("name", ready_made())
def test_every_ready_made_experiment_loads_and_bears_its_files_name(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert experiment.description


@pytest.mark.parametrize("name", ["folder", "csv"])
def test_neutral_experiments_have_nothing_hidden(name):
    own, plain = load_experiment(name), DatasetSettings(source=name)
    assert own.dataset == plain
    assert own.input.size == (224, 224)
    assert own.backbone.name == "efficientnet-lite0"
    assert own.compare.methods == ("head", "best-probe", "fine-tune", "convnet-small")


def test_neutral_experiments_differ_in_the_source_only():
    folder, table = load_experiment("folder"), load_experiment("csv")
    same = dataclasses.replace(table, name="folder", description=folder.description, dataset=folder.dataset)
    assert same == folder


def test_overrides_reach_every_kind_of_value():
    experiment = load_experiment(
        "cifar10",
        (
            "head.epochs=3",
            "head.learning_rate=1",
            "input.size=96,64",
            "backbone.layers=a,b",
            "dataset.path=2024",
            "seed=7",
        ),
    )
    assert experiment.head.epochs == 3
    assert experiment.head.learning_rate == 1.0
    assert experiment.input.size == (96, 64)
    assert experiment.backbone.layers == ("a", "b")
    assert experiment.dataset.path == "2024"
    assert experiment.seed == 7


def test_later_overrides_win():
    assert load_experiment("cifar10", ("seed=1", "seed=2")).seed == 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("hed.epochs=2", ["'hed' in --set hed.epochs=2.", "head"]),
        ("head.epoch=2", ["'head.epoch' in --set head.epoch=2.", "epochs"]),
        ("head.epochs=ten", ["head.epochs", "integer", "'ten'"]),
        ("head.epochs=0", ["head.epochs", "greater than or equal to 1"]),
        ("head.dropout=true", ["head.dropout", "number", "True"]),
        ("input.views=hflp", ["input.views", "'hflip'", "'hflp'"]),
        ("input.size=96", ["input.size", "too few values"]),
        ("input.size=96,96,96", ["input.size", "96, 96, 96"]),
        ("input.antialias=maybe", ["input.antialias", "boolean", "'maybe'"]),
        ("compute.engine=tf", ["compute.engine", "'tensorflow'", "'tf'"]),
        ("backbone.layers=a,a", ["same layer is named twice"]),
        ("features.pooling=avg,max", ["features.pooling", "one for all"]),
        ("name=../escape", ["name", "../escape"]),
        ("head=3", ["head", "3"]),
        ("epochs", ["section.key=value", "'epochs'"]),
        ("=3", ["section.key=value"]),
        ("name.first=x", ["'name'", "not a section"]),
    ],
)
def test_a_wrong_override_is_refused_with_what_to_write_instead(override, expected):
    with pytest.raises(RequestError) as refusal:
        load_experiment("cifar10", (override,))
    for words in expected:
        assert words in str(refusal.value)


@pytest.mark.parametrize("override", ["features.pooling=foo", "input.views=foo", "input.views=identity,foo"])
def test_a_value_that_is_refused_is_not_called_missing_as_well(override):
    with pytest.raises(RequestError, match="unknown value") as refusal:
        load_experiment("cifar10", (override,))
    assert len(str(refusal.value).splitlines()) == 1


def test_a_list_that_is_too_short_is_still_refused():
    with pytest.raises(RequestError, match=r"compare\.methods: .*at least 2"):
        load_experiment("cifar10", ("compare.methods=head",))


def test_an_unknown_experiment_names_the_nearest():
    with pytest.raises(RequestError, match="cifar10"):
        load_experiment("cifr10")


def test_a_file_of_ones_own_is_an_experiment(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\n[dataset]\nsource = "digits"\n[backbone]\nname = "vgg16"\nlayers = ["block5_pool"]\n'
    )
    experiment = load_experiment(str(file))
    assert experiment.dataset.source == "digits"
    assert experiment.input.size == (224, 224)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "not valid TOML"),
        ('name = "mine"\n[dataset]\nsource = "digits"\n', "backbone is missing"),
        (
            'name = "mine"\nextra = 1\n[dataset]\nsource = "digits"\n[backbone]\nname = "v"\nlayers = ["x"]\n',
            "'extra' in .*mine.toml",
        ),
        ("\xff", "not valid TOML"),
    ],
)
def test_a_broken_experiment_file_is_refused(tmp_path, text, expected):
    file = tmp_path / "mine.toml"
    file.write_bytes(text.encode("latin1"))
    with pytest.raises(RequestError, match=expected):
        load_experiment(str(file))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            "imagenet",
            "backbone.preprocessing: unknown value. Valid: 'auto', 'tf', 'torch', 'caffe' or 'none' or a table such as",
        ),
        ("{mean = [0.5, 0.5, 0.5]}", "backbone.preprocessing.std is missing"),
        (
            "{mean = [0.5, 0.5, 0.5], sdt = [1, 1, 1], std = [1, 1, 1]}",
            "Unknown key 'backbone.preprocessing.sdt' in --set backbone.preprocessing",
        ),
        ("{mean = [0.5, 0.5, 0.5], std = [0, 1, 1]}", "backbone.preprocessing.std: Input should be greater than 0"),
        ("{mean = [0.5, 0.5], std = [1, 1, 1]}", "backbone.preprocessing.mean"),
    ],
)
def test_a_wrong_preprocessing_says_what_is_right(value, says):
    with pytest.raises(RequestError) as error:
        load_experiment("digits", (f"backbone.preprocessing={value}",))
    assert says in str(error.value), error.value


def test_a_preprocessing_may_be_a_table():
    experiment = load_experiment("digits", ("backbone.preprocessing={mean = [0.5, 0.5, 0.5], std = [0.25, 0.5, 1.0]}",))
    asked = asked_preprocessing(experiment.backbone)
    assert asked is not None
    np.testing.assert_allclose(asked.scale, [4 / 255, 2 / 255, 1 / 255])
    np.testing.assert_allclose(asked.offset, [-2, -1, -0.5])


@pytest.mark.parametrize(
    ("overrides", "layers"),
    [
        (("backbone.name=resnet18",), ("conv4_block2_out", "conv5_block2_out")),
        (("backbone.name=mine.keras",), ()),
        (("backbone.name=resnet18", "backbone.layers=conv5_block2_out"), ("conv5_block2_out",)),
        (("backbone.name=efficientnet-lite0",), ("block3b_add", "block5c_add", "top_activation")),
    ],
)
def test_another_network_never_keeps_the_layers_of_the_one_before(overrides, layers):
    assert load_experiment("digits", overrides).backbone.layers == layers


def test_another_network_keeps_no_weights_file_and_no_preprocessing(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\n[dataset]\nsource = "digits"\n[backbone]\nname = "a.keras"\nlayers = ["x", "y"]\nweights = "b.h5"\n'
        'preprocessing = "tf"\n[features]\npooling = ["avg", "max"]\n[finetune]\nfrom_layer = "x"\n'
    )
    changed = load_experiment(str(file), ("backbone.name=resnet18",))
    assert changed.backbone == BackboneSettings("resnet18", ("conv4_block2_out", "conv5_block2_out"))
    assert (changed.features.pooling, changed.finetune.from_layer) == (("auto",), "")


def test_another_network_does_not_keep_the_size_of_a_network_of_a_file(tmp_path):
    table = '[dataset]\nsource = "digits"\n[backbone]\nname = "{}"\n[input]\nsize = [32, 32]\nresize = "bicubic"\n'
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\n' + table.format("a.keras"))
    assert load_experiment(str(file), ("backbone.name=resnet18",)).input.size == (224, 224)
    file.write_text('name = "mine"\n' + table.format("resnet50"))
    changed = load_experiment(str(file), ("backbone.name=resnet18",)).input
    assert (changed.size, changed.resize) == ((32, 32), "bicubic")
