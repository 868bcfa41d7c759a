"""The program: it parses flags, runs one mode, and exits with a status."""

import io
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import app
from absl import flags
from absl import logging

from dsr_tf.cli import flag_checks  # noqa: F401  Flags are checked as they parse.
from dsr_tf.cli.failures import EXPECTED
from dsr_tf.cli.failures import end
from dsr_tf.cli.flag_files import parsed
from dsr_tf.cli.help import help_text
from dsr_tf.cli.modes import MODES
from dsr_tf.cli.modes import train
from dsr_tf.cli.output import BAD_FLAGS
from dsr_tf.cli.output import FAILED
from dsr_tf.cli.output import fail
from dsr_tf.cli.output import to_a_reader
from dsr_tf.cli.prune_mode import prepare_prune
from dsr_tf.cli.typed import check_typed


def main() -> None:
    """Runs the command line of this process, and exits."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names may hold what the terminal has no character for.
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(_do, flags_parser=parse_flags)


def _do(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        text = f"unexpected argument '{argv[1]}'; flags begin with --"
        fail(text, BAD_FLAGS)
    if flags.FLAGS.verbosity <= 0:
        logging.set_verbosity(logging.ERROR)
    trains = MODES[flags.FLAGS.mode] is train
    if not trains:
        _take_interrupts()
    try:
        with to_a_reader():
            MODES[flags.FLAGS.mode]()
    except EXPECTED as error:
        end(error, trains)


def _take_interrupts() -> None:
    """Lets Ctrl-C end what has nothing to save at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses flags; a bad one ends the program with one line."""
    if {"--help", "-help", "-h", "-?"} & set(argv[1:]):
        _show_help()
    try:
        left = parsed(argv)
        prepare_prune()
        check_typed(argv)
        return left
    except flags.Error as error:
        fail(str(error), BAD_FLAGS)


def _show_help() -> NoReturn:
    try:
        with to_a_reader():
            print(help_text())
    except OSError as error:
        fail(str(error), FAILED)
    sys.exit(0)
