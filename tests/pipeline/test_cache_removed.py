"""`cache rm` while another command reads the cache: the command says what happened and what to type."""

import shutil

import pytest
from commandline import SMALL, invoke

from bottleneck_features import features


@pytest.fixture
def home(extracted, tmp_path):
    """A copy of the artifacts folder, whose cache may be removed."""
    return shutil.copytree(extracted, tmp_path / "copied")


@pytest.mark.parametrize("after", ["open_features", "require_unchanged"])
@pytest.mark.parametrize("command", ["probe", "train-head", "compare"])
def test_a_command_whose_cache_is_removed_says_so_and_what_to_type(home, monkeypatch, command, after):
    (folder,) = (home / "features").iterdir()
    original = getattr(features, after)

    def then_removed(path):
        found = original(path)
        if folder.exists():
            done = invoke("cache", "rm", folder.name, "--yes", home=home)
            assert done.exit_code == 0, done.output
        return found

    monkeypatch.setattr(features, after, then_removed)
    run = invoke(command, *SMALL, home=home)
    assert run.exit_code == 1, run.output
    assert not folder.exists()
    assert "was removed while it was read" in run.output
    assert "Type: bottleneck features -e digits --set dataset.limit=120" in run.output
    assert "repair" not in run.output
    assert "Traceback" not in run.output
