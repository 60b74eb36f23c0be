"""Ctrl-C ends a command with one line at any moment, also while it is being imported."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import command, heed_ctrl_c

FIRST, LAST = "bottleneck_features.pipeline.stopping", "bottleneck_features.pipeline.commandline.cli"


@pytest.mark.parametrize(
    ("imported", "seconds"), [(FIRST, 0.05), ("pydantic", 0.0), ("h5py", 0.0), (LAST, 0.3), (LAST, 1.0), (LAST, 2.0)]
)
def test_ctrl_c_during_the_start_ends_with_one_line(tmp_path: Path, imported: str, seconds: float):
    python, *words = command("features", "-e", "digits", home=tmp_path)
    with subprocess.Popen(
        [python, "-X", "importtime", *words], stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.split("|")[-1].strip() == imported:
                break
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    said = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert process.returncode == 1
    assert len(said) == 1, rest
    assert said[0].startswith("Error: Stopped.")
    assert "tensorflow.python" not in rest  # what its import said is held back, and stays so


def test_who_ignores_ctrl_c_or_handles_it_keeps_doing_so():
    code = (
        "import signal\nfrom bottleneck_features.pipeline.stopping import stopping_at_once\n"
        "for own in (signal.SIG_IGN, print, signal.default_int_handler):\n"
        "    signal.signal(signal.SIGINT, own)\n"
        "    with stopping_at_once():\n"
        "        print(signal.getsignal(signal.SIGINT) is own)\n"
        "    assert signal.getsignal(signal.SIGINT) is own\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]
