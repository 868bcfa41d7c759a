"""How main.py ends: with one line, or quietly, and with a status."""

import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from dsr_tf.cli import entry
from dsr_tf.cli import output
from tests.command_line import ROOT
from tests.test_old_files import FILES as OLD

INTERRUPTED = 130
UNREAD = 141


def refusal(capsys, *arguments):
    """Returns the one line with which flags are refused."""
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        entry.parse_flags(["main.py", *map(str, arguments)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_flag_file_must_be_a_text(tmp_path, capsys):
    (tmp_path / "binary.cfg").write_bytes(bytes(range(256)))
    (tmp_path / "outer.cfg").write_text(f"--flagfile={tmp_path}/binary.cfg\n")
    for name in ("binary.cfg", "outer.cfg"):
        given = f"--flagfile={tmp_path / name}"
        assert f"{given} must be a text file" in refusal(capsys, given)
        split = refusal(capsys, "--flagfile", tmp_path / name)
        assert f"{given} must be a text file" in split


def test_a_flag_file_must_not_lead_back_to_itself(tmp_path, capsys):
    one, two = tmp_path / "one.cfg", tmp_path / "two.cfg"
    one.write_text(f"--epochs=3\n--flagfile={two}\n")
    two.write_text(f"--flagfile={one}\n")
    line = refusal(capsys, f"--flagfile={one}")
    assert line == f"main.py: --flagfile={one} must not lead back to itself"
    two.write_text("--batch_size=7\n")
    with flagsaver.flagsaver():
        assert entry.parse_flags(["main.py", f"--flagfile={one}"]) == [
            "main.py"
        ]
        assert (flags.FLAGS.epochs, flags.FLAGS.batch_size) == (3, 7)


def test_a_message_is_one_line_whatever_it_holds(capsys):
    with pytest.raises(SystemExit):
        output.fail("a \n\n  b\x1b[2J\ud800", 3)
    assert capsys.readouterr().err == "main.py: a b\\x1b[2J\\ud800\n"


@pytest.mark.parametrize(
    "error, message",
    [
        (MemoryError("1 TiB"), "the memory is not enough (1 TiB)"),
        (OverflowError("int too large"), "a number is too large (int too"),
        (BrokenPipeError(), ""),
        (KeyboardInterrupt(), "interrupted\n"),
    ],
)
def test_what_a_mode_raises_is_one_line(monkeypatch, capfd, error, message):
    def fail():
        raise error

    monkeypatch.setitem(entry.MODES, "compare", fail)
    monkeypatch.setattr(output, "_drop_output", lambda: None)
    before = signal.getsignal(signal.SIGINT)
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        entry._do(entry.parse_flags(["main.py", "--mode=compare"]))
    signal.signal(signal.SIGINT, before)
    assert ended.value.code
    printed = capfd.readouterr().err
    assert message in printed and len(printed.splitlines()) == bool(message)


def shell(command, **environment):
    """Runs a command of a shell, which finds main.py as `$MAIN`."""
    return subprocess.run(
        ["bash", "-c", f"{command}; echo status ${{PIPESTATUS[0]}} >&2"],
        cwd=ROOT,
        env={**os.environ, "MAIN": f"{sys.executable} main.py", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


COMPARE = f"$MAIN --mode=compare --runs='{OLD}/*'"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, status, message",
    [
        # The reader has gone before anything is written.
        (f"{COMPARE} | true", UNREAD, ""),
        ("$MAIN --help | true", UNREAD, ""),
        (f"{COMPARE} > /dev/full", 1, "main.py: [Errno 28] No space left"),
        ("$MAIN --help > /dev/full", 1, "main.py: [Errno 28] No space left"),
        ("$MAIN --runs=none --mode=compare > /dev/full", 1, "main.py: --runs"),
        (f"{COMPARE} >&- <&-", 0, ""),
    ],
)
def test_output_that_nobody_takes(command, status, message):
    *lines, last = shell(command).stderr.splitlines()
    assert last == f"status {status}"
    assert len(lines) == bool(message) and "".join(lines).startswith(message)


@pytest.mark.slow
def test_closed_streams_and_poor_terminals_are_enough():
    closed = shell(f"{COMPARE} 2>&-").stdout
    poor = shell(COMPARE, PYTHONIOENCODING="ascii").stdout
    assert "left out:" in closed and "left out:" in poor


@pytest.mark.slow
def test_a_training_that_nobody_reads_can_go_on(tmp_path):
    run = f"$MAIN --epochs=400 --run_dir={tmp_path}/run"
    ended = shell(f"{run} | head -1")
    assert ended.stderr == f"status {UNREAD}\n"
    assert ended.stdout.startswith("epoch   1/400")
    assert not (tmp_path / "run" / "summary.json").exists()


def interrupt(run):
    run.send("SIGINT")
    assert_interrupted(run.finish())


def assert_interrupted(ended):
    assert (ended.returncode, ended.stdout) == (INTERRUPTED, "")
    assert ended.stderr == "main.py: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["report", "export", "evaluate", "compare"])
def test_ctrl_c_while_starting_is_one_line(starter, tmp_path, mode):
    # Flags that are waited for.
    os.mkfifo(tmp_path / "flags")
    flagfile = f"--flagfile={tmp_path / 'flags'}"
    run = starter.start("--mode", mode, flagfile)
    writer = os.open(tmp_path / "flags", os.O_WRONLY)
    interrupt(run)
    os.close(writer)


@pytest.mark.slow
def test_ctrl_c_during_a_report_leaves_nothing(starter, tmp_path):
    out = tmp_path / "out"
    for _ in range(9):
        run = starter.start("--mode=report", f"--runs={OLD}/*", f"--out={out}")
        while not (tmp_path / ".partial.out").exists():
            assert run.wait(0.01) is None
        run.send("SIGINT")
        ended = run.finish()
        if not out.exists():
            break
        # On a busy machine it may end before the signal.
        shutil.rmtree(out)
    assert_interrupted(ended)
    assert list(tmp_path.iterdir()) == []


def content(path):
    files = sorted(x for x in path.rglob("*") if x.is_file())
    return {x.relative_to(path): x.read_bytes() for x in files}


def on_a_full_disk(run, size):
    """Lets a run write files of so many bytes at most, and waits for it."""
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, size))
    return run.finish()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["saved_model", "tflite", "csr"])
def test_a_full_disk_keeps_the_earlier_export(starter, tmp_path, format):
    run = tmp_path / "run"
    shutil.copytree(OLD / "dsr", run)
    flags = ["--mode=export", f"--run_dir={run}", f"--format={format}"]
    assert starter.main(*flags).returncode == 0
    before = content(run)
    full = on_a_full_disk(starter.start(*flags, "--overwrite"), 2048)
    assert (full.returncode, full.stdout) == (1, "")
    last = full.stderr.splitlines()[-1]
    assert "File too large" in last and last.startswith("main.py: ")
    assert "Traceback" not in full.stderr
    assert content(run) == before


@pytest.mark.slow
def test_a_full_disk_keeps_the_earlier_report(starter, tmp_path):
    flags = ["--mode=report", f"--runs={OLD}/*", f"--out={tmp_path}/out"]
    assert starter.main(*flags).returncode == 0
    before = content(tmp_path)
    full = on_a_full_disk(starter.start(*flags, "--overwrite"), 20 * 1024)
    assert full.returncode == 1
    assert full.stderr == "main.py: [Errno 27] File too large\n"
    assert content(tmp_path) == before


def damaged_runs(root):
    """Yields commands on runs that are damaged in one way each."""
    summaries = ["[]", "{}", "3", "[[", "[" * 100_000, '{"dataset": 1}']
    summaries += [
        '{"dataset": "digits", "test_accuracy": "x", "seed": 0}',
        '{"dataset": "digits", "test_accuracy": 1e999, "seed": 0}',
        '{"dataset": "none", "test_accuracy": 0.5, "seed": 0}',
        '{"dataset": "digits", "test_accuracy": 1, "seed": -1}',
    ]
    files = [("summary.json", text.encode()) for text in summaries]
    network = (OLD / "dsr" / "model.keras").read_bytes()
    flipped = bytearray(network)
    flipped[len(flipped) // 2] ^= 1
    dense = (OLD / "dense" / "model.keras").read_bytes()
    broken = [b"", bytes(range(256)), network[:5000], bytes(flipped)]
    files += [("model.keras", x) for x in broken]
    for number, (name, written) in enumerate([*files, ("foreign", dense)]):
        run = root / str(number)
        shutil.copytree(OLD / "dsr", run)
        foreign = name == "foreign"
        (run / ("model.keras" if foreign else name)).write_bytes(written)
        int8 = "--format=tflite", "--quantize=int8"
        yield ["--mode=export", f"--run_dir={run}", *int8]
        if not foreign:
            yield ["--mode=evaluate", f"--run_dir={run}"]


@pytest.mark.slow
def test_damaged_runs_are_refused_in_one_line(starter, tmp_path):
    for command in damaged_runs(tmp_path):
        ended = starter.main(*command)
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        (line,) = ended.stderr.splitlines()
        assert line.startswith(
            ("main.py: --run_dir", "main.py: --model", "main.py: --dataset")
        ), line


@pytest.mark.slow
@pytest.mark.parametrize("source", ["dense", "hashed"])
def test_masks_of_a_run_without_masks_are_refused(starter, tmp_path, source):
    result = starter.main(
        f"--masks_from={OLD / source}",
        "--weights_from=random",
        f"--run_dir={tmp_path}/run",
    )
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "must have masks, those of 3 sparse layers" in result.stderr
    assert "Received: 0, in model 'lenet_300_100'" in result.stderr


@pytest.mark.slow
def test_places_that_cannot_be_written_are_one_line(starter, tmp_path):
    (tmp_path / "file").write_text("")
    report = ["--mode=report", f"--runs={OLD}/dsr"]
    places = ["/proc/x", tmp_path / "file/x", "x" * 5000, tmp_path / "file"]
    commands = [[*report, f"--out={x}"] for x in places]
    commands += [["--epochs=1", f"--run_dir={x}"] for x in places]
    commands += [["--mode=evaluate", f"--model_path={'x' * 5000}"]]
    commands += [["--mode=export", f"--run_dir={'x/' * 3000}"]]
    for command in commands:
        ended = starter.main(*command)
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
