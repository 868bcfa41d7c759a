"""Waits for workers that do not come, and prints how that ends.

Argument: the limit, in seconds.
"""

import sys

from dsr_tf.distribute import WorkersMissingError
from dsr_tf.distribute import multi_worker_strategy

if __name__ == "__main__":
    try:
        multi_worker_strategy(timeout_seconds=float(sys.argv[1]))
    except WorkersMissingError as error:
        print(f"{type(error).__name__}: {error}")
