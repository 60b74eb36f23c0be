"""A real S3 server on the loopback interface, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "bottleneck-test"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Start moto's server with one empty bucket and give the environment in which S3 clients find it, with SERVER_PID."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(port, server)
            environment = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "SERVER_PID": str(server.pid),
            }
            _make_bucket(environment)
            yield environment
        finally:
            server.kill()


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, "moto's server did not start"
        time.sleep(0.1)
    raise TimeoutError("moto's server does not answer")


def _make_bucket(environment: dict[str, str]) -> None:
    code = f"import s3fs; s3fs.S3FileSystem().mkdir('{BUCKET}')"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
