"""Times TFLite files in turn. `block_files.py` runs this file on Arm.

It needs NumPy and LiteRT alone:

    python arm_times.py ROUNDS BATCH TIMES.json FILE...
"""

import json
import sys
import time
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def loaded(path: str, batch: int) -> Any:
    """Returns an interpreter whose inputs are drawn, for so many examples."""
    made = Interpreter(path, num_threads=1)
    (given,) = made.get_input_details()
    shape = (batch, *given["shape"][1:])
    made.resize_tensor_input(given["index"], shape)
    made.allocate_tensors()
    examples = np.random.default_rng(0).normal(size=shape).astype("float32")
    made.set_tensor(given["index"], examples)
    return made


def seconds(made: Any) -> float:
    begin = time.perf_counter()
    made.invoke()
    return time.perf_counter() - begin


def main(rounds: str, batch: str, found: str, *paths: str) -> None:
    files = [loaded(path, int(batch)) for path in paths]
    times: list[list[float]] = [[] for _ in files]
    for _ in range(int(rounds) + 1):
        for made, row in zip(files, times, strict=True):
            row.append(seconds(made))
    with open(found, "w") as file:
        # The first round warms up.
        json.dump([row[1:] for row in times], file)


if __name__ == "__main__":
    main(*sys.argv[1:])
