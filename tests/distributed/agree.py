"""Lets workers agree, and writes what each of them saw.

Argument: a folder, which gets `worker_{index}.json`.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from dsr_tf import distribute
from dsr_tf.distribute.agree import agree_on
from dsr_tf.distribute.agree import largest
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.agree import texts
from dsr_tf.distribute.differences import check_alike
from dsr_tf.distribute.workers import worker_index

TEXTS = ["", "é漢\udc80", "x" * 100_001]


def error_of(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def fail(strategy, error=None):
    with agree_on(strategy):
        if error is not None:
            raise error


def main(folder):
    strategy = distribute.choose_strategy("multi_worker")
    index = worker_index(strategy)
    out = {"is_chief": distribute.is_chief(strategy)}
    out["largest"] = largest(strategy, [index, -index, 2**62 + index])
    out["texts"] = [
        texts(strategy, TEXTS[(index + i) % len(TEXTS)]) for i in range(3)
    ]
    out["same"] = error_of(check_alike, strategy, {"--seed": "0"})
    facts = {"--seed": str(index), "data": "digits"}
    if index:
        facts["--late"] = "1"
    out["differing"] = error_of(check_alike, strategy, facts)
    out["none"] = error_of(fail, strategy)
    errors = [[ValueError("`x` is bad"), None], [None, KeyboardInterrupt()]]
    out["failed"] = [error_of(fail, strategy, each[index]) for each in errors]
    out["after"] = np.ravel(largest(strategy, [index])).tolist()
    settle(strategy)
    Path(folder, f"worker_{index}.json").write_text(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)
