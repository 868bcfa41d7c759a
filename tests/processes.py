"""Scripts in processes of their own: one distributed strategy a process."""

import json
import socket
from contextlib import ExitStack


def start(starter, script, *arguments, **environment):
    """Starts a script of `tests/distributed`."""
    program = f"tests/distributed/{script}"
    return starter.start(*arguments, program=program, **environment)


def finish(*runs):
    """Waits for runs, none of which may fail."""
    try:
        for run in runs:
            ended = run.finish()
            assert ended.returncode == 0, (ended.stdout, ended.stderr[-4000:])
    finally:
        for run in runs:
            run.send("SIGKILL")


def run_workers(starter, script, *arguments, num_workers=2):
    """Runs a script as workers over loopback, and waits for all of them."""
    finish(
        *(
            start(starter, script, *arguments, TF_CONFIG=text)
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
