"""Times how much `import dsr_tf` adds to `import keras`.

    python -m benchmarks.start [--rounds=9] [--quick] [--json=PATH]

Each round starts a new Python, which imports Keras, then this library, and
notes the time of both. That scikit-learn, matplotlib and TFDS are imported
only when they are used, `tests/test_start.py` sees to.
"""

import json
import subprocess
import sys
from typing import Any

from benchmarks import command
from benchmarks import timing

PROGRAM = """
import json, time
begin = time.perf_counter()
import keras
between = time.perf_counter()
import dsr_tf
end = time.perf_counter()
print(json.dumps([between - begin, end - between]))
"""


def imported() -> tuple[float, float]:
    """Returns the seconds that importing Keras, and then dsr_tf, takes."""
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    keras, added = json.loads(output)
    return keras, added


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    # The first may have to compile, and to read from disk.
    imported()
    times = [imported() for _ in range(rounds)]
    return {
        "rounds": rounds,
        "keras_seconds": timing.summary([keras for keras, _ in times]),
        "added_seconds": timing.summary([added for _, added in times]),
    }


def show(results: dict[str, Any]) -> None:
    command.table(
        ["import", "seconds"],
        [
            ["keras", timing.ranged(results["keras_seconds"])],
            ["dsr_tf, after it", timing.ranged(results["added_seconds"], 3)],
        ],
    )


if __name__ == "__main__":
    command.main(__doc__, 9, measure, show)
