"""What the machine can do, and what a shell completes."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commandline import invoke

from bottleneck_features.pipeline.commandline.completion import complete_experiment, complete_setting
from bottleneck_features.pipeline.stages.doctor import BROKEN, EXTRAS, MISSING, OK, Check, broken, extras, writable

ROOT = Path(__file__).parents[2]


def test_the_doctor_runs_every_engine_and_says_what_it_found(tmp_path):
    done = invoke("doctor", "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["works"]
    found = {(row["area"], row["item"]): row for row in report["checks"]}
    assert found["engine", "tensorflow float32"]["state"] == OK
    assert "relative to float32" in found["engine", "tensorflow float32"]["detail"]
    assert found["engine", "tensorflow int8"]["state"] == MISSING
    assert found["version", "python"]["detail"] == sys.version.split()[0]
    assert found["folder", "artifacts"]["state"] == OK
    assert {item for area, item in found if area == "extra"} == set(EXTRAS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_broken_and_an_engine_beside_others_is_not(tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = writable(tmp_path / "file" / "artifacts")
    assert found.state == BROKEN
    assert "give another --home" in found.detail
    one, none = Check("engine", "openvino int8", BROKEN, ""), Check("engine", "any", BROKEN, "")
    assert broken((found, one, none)) == [found, none]


def test_a_missing_package_is_named_with_its_use_and_what_installs_it():
    (found,) = extras({"rockets": (("numpy", "no-such-package"), "flying")})
    assert found.state == MISSING
    assert found.detail == "no-such-package for flying: pip install 'bottleneck-features[rockets]'"


def test_the_doctor_knows_the_packages_that_pip_installs_for_each_extra():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, (packages, _) in EXTRAS.items():
        assert {re.split(r"[\[>=]", requirement)[0] for requirement in declared[extra]} == set(packages)
    assert set(declared) == {*EXTRAS, "gpu", "dev", "store-server", "docs", "browser", "notebook"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_valid_in_its_shell(shell, tmp_path):
    from click.testing import CliRunner

    from bottleneck_features.pipeline.commandline.cli import main

    done = CliRunner().invoke(main, ["completions", shell])
    assert done.exit_code == 0
    assert "_BOTTLENECK_COMPLETE" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_experiments_settings_and_their_values_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.toml").write_text("")
    complete = {"-e": complete_experiment, "--set": complete_setting}
    for option, begun, expected in (
        ("-e", "photo", ["photo-patches", "photos.toml"]),
        ("--set", "compute.eng", ["compute.engine="]),
        ("--set", "compute.engine=", ["compute.engine=auto", "compute.engine=tensorflow", "compute.engine=openvino"]),
        ("--set", "input.views=identity,h", ["input.views=identity,hflip"]),
        ("--set", "head.epochs=", []),
        ("--set", "nonsense.key=", []),
    ):
        found = complete[option](None, None, begun)
        assert [item.value for item in found] == expected


@pytest.mark.slow
def test_bash_completes_experiments_settings_and_their_values(tmp_path):
    program = tmp_path / "bottleneck"
    code = (
        "import sys; sys.argv[0] = 'bottleneck'; from bottleneck_features.pipeline.commandline.cli import main; main()"
    )
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    asked = (["probe", "-e", "photo"], ["probe", "--set", "compute.eng"], ["probe", "--set", "compute.engine=ten"])
    script = f"source <({program} completions bash)\n"
    for words in asked:
        line = " ".join(["bottleneck", *words])
        script += f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMPREPLY=(); _bottleneck_completion {program}; "
        script += 'echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert done.stdout.split() == ["photo-patches", "compute.engine=", "compute.engine=tensorflow"], done.stderr
