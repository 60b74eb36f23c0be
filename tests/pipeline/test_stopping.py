"""Ctrl-C ends a command with one line at any moment, also while it is being imported."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import command, heed_ctrl_c

FIRST, LAST = "bottleneck_features.stopping", "bottleneck_features.pipeline.commandline.cli"
DATA = "sklearn.datasets"  # what the data need, shortly before TensorFlow is imported


@pytest.mark.parametrize(
    ("imported", "seconds", "number"),
    [
        (FIRST, 0.05, signal.SIGINT), ("pydantic", 0.0, signal.SIGINT), ("h5py", 0.0, signal.SIGTERM), (LAST, 0.3, signal.SIGINT),
        (LAST, 1.0, signal.SIGHUP), (DATA, 2.0, signal.SIGTERM),
        *(
            pytest.param(*moment, marks=pytest.mark.slow)
            for moment in (
                (LAST, 0.1, signal.SIGINT), ("scipy.sparse", 0.0, signal.SIGINT), ("joblib", 0.0, signal.SIGINT),
                (DATA, 1.0, signal.SIGINT),
            )
        ),
    ],
)  # fmt: skip
def test_ctrl_c_or_an_end_that_is_asked_for_during_the_start_ends_with_one_line(
    tmp_path: Path, imported: str, seconds: float, number: signal.Signals
):
    python, *words = command("features", "-e", "digits", home=tmp_path)
    with subprocess.Popen(
        [python, "-X", "importtime", *words], stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.split("|")[-1].strip() == imported:
                break
        time.sleep(seconds)
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    said = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert process.returncode == 1
    assert len(said) == 1, rest
    assert said[0].startswith("Error: Stopped.")
    assert "tensorflow.python" not in rest  # what its import said is held back, and stays so


def test_who_ignores_ctrl_c_or_handles_it_keeps_doing_so():
    code = (
        "import signal\nfrom bottleneck_features.stopping import stopping_at_once, this_process_is_a_command\n"
        "this_process_is_a_command()\n"
        "for own in (signal.SIG_IGN, print, signal.default_int_handler):\n"
        "    signal.signal(signal.SIGINT, own)\n"
        "    with stopping_at_once():\n"
        "        print(signal.getsignal(signal.SIGINT) is own)\n"
        "    assert signal.getsignal(signal.SIGINT) is own\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_an_extraction_that_is_asked_to_end_says_so_and_leaves_no_note_of_a_holder(
    tmp_path: Path, number: signal.Signals
):
    words = command(
        "features",
        "-e",
        "digits",
        "--set",
        "features.shard_size=8",
        "--set",
        "compute.precision=float32",
        home=tmp_path,
    )
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("features/*/train/00003.h5")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Error: Stopped. Every finished shard is kept" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("features/*/.lock.json"))
    assert not list(tmp_path.rglob("*.tmp"))


def test_ctrl_c_outside_of_what_hears_it_and_in_an_exec_of_a_text_ends_with_one_line_and_code_1_too(tmp_path):
    (tmp_path / "interrupted.py").write_text(
        "import bottleneck_features.pipeline.commandline.cli as cli\nfrom bottleneck_features.__main__ import main\n"
        "cli.main = lambda: exec('raise KeyboardInterrupt')\nmain()"
    )
    words = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: Stopped.\n")


def test_an_error_that_compiled_code_makes_of_ctrl_c_is_ctrl_c_and_any_other_error_is_itself():
    code = (
        "import signal\nfrom bottleneck_features.stopping import stopping_as_ctrl_c_does, stopping_is_heard\n"
        "stopping_as_ctrl_c_does()\n"
        "def raised(happens):\n"
        "    try:\n"
        "        with stopping_is_heard():\n"
        "            try:\n"
        "                happens()\n"
        "            except BaseException as error:\n"
        "                raise ImportError('initialization failed') from error\n"
        "    except BaseException as error:\n"
        "        print(type(error).__name__)\n"
        "raised(lambda: 1 / 0)\n"
        "raised(lambda: signal.raise_signal(signal.SIGTERM))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ImportError", "KeyboardInterrupt"]
