"""The modes of the command line: one function for each `--mode`."""

from collections.abc import Callable
from typing import Any

from absl import flags

from dsr_tf import reports
from dsr_tf import runs
from dsr_tf.cli.parsed import config


def train() -> None:
    """Trains a network."""
    runs.run(config())


def export() -> None:
    """Exports the network of a run for use without this library."""
    path = runs.export_run(
        _run_dir(),
        flags.FLAGS.format,
        flags.FLAGS.quantize,
        flags.FLAGS.data_dir,
        flags.FLAGS.overwrite,
        flags.FLAGS.encoding,
        flags.FLAGS.inputs,
        flags.FLAGS.compute,
    )
    print(f"written to      {path}")


def evaluate() -> None:
    """Prints accuracy and loss of a network."""
    runs.evaluate(
        flags.FLAGS.model_path or _run_dir(),
        # The default is that of training.
        _given("dataset"),
        flags.FLAGS.data_dir,
        _given("train_split"),
        _given("test_split"),
        _given("standardize"),
    )


def report() -> None:
    """Writes a page on finished runs."""
    page = reports.write_report(
        flags.FLAGS.runs, flags.FLAGS.out, flags.FLAGS.overwrite
    )
    print(f"written to      {page}")


def compare() -> None:
    """Prints a table of finished runs."""
    print(reports.compare(flags.FLAGS.runs), end="")


MODES: dict[str, Callable[[], None]] = {
    "train": train,
    "prune": train,
    "export": export,
    "evaluate": evaluate,
    "report": report,
    "compare": compare,
}


def _run_dir() -> str:
    return config().execution.run_dir


def _given(name: str) -> Any:
    """Returns the value of a flag that was given, else None."""
    flag = flags.FLAGS[name]
    return flag.value if flag.present else None
