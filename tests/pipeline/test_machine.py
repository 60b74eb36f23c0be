"""What every result says of the process that made it."""

import os
import subprocess
import sys


def test_the_peak_memory_is_that_of_the_process_and_not_of_the_one_that_started_it():
    taken = bytearray(os.urandom(1 << 20) * 512)
    code = "from bottleneck_features.pipeline.machine import peak_memory_mib; print(peak_memory_mib())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(printed.stdout) < len(taken) / 2**20 / 2
