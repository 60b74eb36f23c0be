"""Whatever is typed for a setting, the command says what is wrong in one message, or does its work."""

import random

import pytest
from commandline import invoke
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment, setting_names

ODD = [
    "", "-1", "0", "1", "3.7", "1e400", "nan", "-inf", "true", "[]", "[[1]]", "{a=1}", "9" * 5000, "9223372036854775808", "🙂",
    "a,b", "../../x", "/dev/zero", "s3://x", "\x1b[31m\x07", "a\u202eb", "x" * 5000, "[" * 3000, "'", '"""', "null", "(?P<",
    "%s", "~", "*",
]  # fmt: skip
PAIRS = [(name, value) for name in setting_names() for value in ODD]
SMALL = ("--set", "dataset.limit=60", "--set", "input.size=16,16", "--set", "head.epochs=1")


def _message(experiment: str, override: str) -> str:
    try:
        load_experiment(experiment, (override,))
    except RequestError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("experiment", ["digits", "natural-images", "emergency-vehicles"])
def test_every_odd_value_of_every_setting_is_taken_or_refused_by_name(experiment):
    messages = {pair: _message(experiment, "=".join(pair)) for pair in PAIRS}
    assert all(name.split(".")[0] in said and len(said) < 1000 for (name, _), said in messages.items() if said)
    assert sum(map(bool, messages.values())) > len(PAIRS) / 3


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_override_is_taken_or_refused(key, value):
    _message("digits", f"{key}={value}")


def _tried(command: str, experiment: str, pairs: list[tuple[str, str]], home) -> None:
    for name, value in pairs:
        done = invoke(command, "-e", experiment, *SMALL, "--set", f"{name}={value}", home=home)
        assert done.exit_code in (0, 1, 2), (name, value[:50], done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), (name, value[:50], done.exception)
        assert "Traceback" not in done.output, (name, value[:50])
        assert "\x1b" not in done.output, (name, value[:50])
        assert done.exit_code == 0 or done.stderr.strip(), (name, value[:50])


def test_a_command_with_an_odd_setting_ends_with_a_message(tmp_path):
    pairs = random.Random(0).sample([pair for pair in PAIRS if pair[0].startswith(("dataset.", "seed", "name"))], 40)
    _tried("inspect", "digits", pairs, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("command", "count"), [("inspect", 150), ("features", 120), ("train-head", 60)])
def test_330_commands_with_odd_settings_end_with_a_message(command, count, tmp_path):
    _tried(command, "digits", random.Random(1).sample(PAIRS, count), tmp_path)
