"""Starts runs of main.py, or of a script, that need not load TensorFlow first.

Each has a process to itself, forked of one that has done no more than import
TensorFlow: it begins some seconds earlier, and is killed as any other.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.command_line import ROOT

# A run takes some seconds; many times as long where others use the machine.
PATIENCE = 600


class Run:
    """A run of a program."""

    def __init__(self, starter, pid, folder, arguments):
        self._starter, self.pid, self._folder = starter, pid, folder
        self.arguments, self.status = arguments, None

    def poll(self):
        """Returns the exit status, or None while it runs."""
        if self.status is None:
            self.status = self._starter.ask("poll", self.pid)
        return self.status

    def wait(self, seconds):
        """Returns the exit status; None if it has not ended in that time."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        return self.status

    def finish(self):
        """Waits for its end, which must come, and returns what came of it."""
        try:
            status = self.wait(PATIENCE)
        finally:
            self.send("SIGKILL")
        texts = self.text("stdout"), self.text("stderr")
        assert status is not None, (self.arguments, *texts)
        return subprocess.CompletedProcess(self.arguments, status, *texts)

    def send(self, name):
        """Sends a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, getattr(signal, name))

    def text(self, name):
        """Returns what it wrote to `stdout` or `stderr`."""
        return (self._folder / name).read_text(errors="replace")

    def lines(self, name, count):
        """Returns its first lines, as soon as there are so many."""
        while self.text(name).count("\n") < count:
            assert self.wait(0.02) is None, self.text("stderr")
        return self.text(name).splitlines()[:count]


class Starter:
    """The process that runs are forked of; a context manager."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking"],
            cwd=ROOT,
            # What main.py keeps off the screen while it imports TensorFlow
            # comes later here.
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._scratch = tempfile.TemporaryDirectory()
        self._runs = []
        assert self._answer() == "ready"
        return self

    def __exit__(self, *_):
        for run in self._runs:
            run.send("SIGKILL")
        self._process.stdin.close()
        self._process.wait()
        self._scratch.cleanup()

    def start(self, *arguments, program="main.py", cwd=ROOT, **environment):
        """Starts a program of this checkout, in a folder."""
        folder = Path(self._scratch.name) / str(len(self._runs))
        folder.mkdir()
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        given = list(map(str, arguments))
        places = str(folder), str(cwd)
        pid = self.ask("start", program, given, environment, *places)
        self._runs.append(Run(self, pid, folder, given))
        return self._runs[-1]

    def main(self, *arguments, **environment):
        """Runs main.py to its end."""
        return self.start(*arguments, **environment).finish()

    def ask(self, *message):
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())


def _start(program, arguments, environment, folder, cwd):
    child = os.fork()
    if child:
        return child
    # It is ignored where the tests run in the background of a shell.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Kills end workers in ways that TensorFlow's own threads must not see.
    os.setpgid(0, 0)
    os.environ.update(environment)
    os.chdir(cwd)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        os.dup2(os.open(Path(folder) / name, flags), number)
    sys.stdout = open(1, "w", closefd=False)
    sys.stderr = open(2, "w", closefd=False)
    os._exit(_status(program, arguments))


def _status(program, arguments):
    sys.argv = [program, *arguments]
    try:
        runpy.run_path(str(ROOT / program), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    # Broad: the child must not go on as if it were its parent.
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _poll(pid):
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main():
    # Runs need not look for garbage in what all of them share.
    gc.disable()
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import dsr_tf.cli  # noqa: F401

    gc.freeze()
    gc.enable()
    commands = {"start": _start, "poll": _poll}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(commands[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
