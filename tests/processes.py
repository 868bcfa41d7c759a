"""Scripts in processes of their own: one distributed strategy a process."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A process takes some 15 s; many times as long where others use the machine.
TIMEOUT = 600


def start(script, *arguments, **environment):
    """Starts a script of `tests/distributed`."""
    return subprocess.Popen(
        [sys.executable, f"tests/distributed/{script}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    """Waits for processes; none may fail, nor take longer than the limit."""
    try:
        for process in processes:
            output, _ = process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0, output[-4000:]
    finally:
        for process in processes:
            process.kill()


def run_workers(script, *arguments, num_workers=2):
    """Runs a script as workers over loopback, and waits for all of them."""
    finish(
        *(
            start(script, *arguments, TF_CONFIG=text)
            for text in tf_configs(num_workers)
        )
    )


def tf_configs(num_workers=2):
    """Returns the `TF_CONFIG` of each worker of a cluster over loopback."""
    workers = [f"localhost:{port}" for port in free_ports(num_workers)]
    return [
        json.dumps(
            {
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(num_workers)
    ]


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
