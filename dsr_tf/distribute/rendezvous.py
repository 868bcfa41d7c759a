"""Waits for all workers of a cluster, before TensorFlow does.

TensorFlow's own wait for workers cannot be ended: it holds Python's lock, so
that no signal is heard and no thread runs. So the workers first meet here. All
of them connect to the chief, at the address where its server of TensorFlow will
be, and the chief lets them go on when all are there.

A message is a line of JSON. A worker sends `{"dsr_tf": 1, "index": ...,
"facts": {...}}` when it has connected. Each second the chief sends `{"missing":
[...]}`, and the worker answers with an empty one. The last message of the chief
is `{"go": true}`, or `{"error": ...}`, which ends the worker. One that is asked
to stop sends `{"stopped": true}`, and the chief `{"stopped": ...}` with the
index of that worker to all.
"""

import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from dsr_tf.distribute.errors import WorkersMissingError
from dsr_tf.distribute.guest import Guest
from dsr_tf.distribute.held_signals import let_through
from dsr_tf.distribute.host import Host
from dsr_tf.distribute.meeting import listen

# Seconds until a worker says for whom it waits, and between two such lines.
_FIRST_REPORT = 5.0
_REPORTS = 60.0
# Seconds in which a signal is heard for certain.
_TICK = 0.2


def meet(
    addresses: Sequence[str],
    index: int,
    facts: Mapping[str, str],
    timeout_seconds: float,
    report: Callable[[str], None],
) -> None:
    """Returns when all workers have come. To be called in `held_signals`.

    Args:
        addresses: Host and port of each worker, the chief first.
        index: Which of them is this process.
        facts: What has to be the same on all workers, by name.
        timeout_seconds: How long to wait.
        report: Is called with a line on whom this worker waits for, after some
            seconds, and again each minute.

    Raises:
        WorkersMissingError: If workers did not come within the limit.
        OSError: If another process uses the port of this worker.
        ValueError: If facts differ.
        OtherWorkerError: If a worker was asked to stop, as by a signal.
    """
    begin = time.monotonic()
    due = begin + _FIRST_REPORT
    has_reported = False
    with listen(addresses[index]) as server:
        make = Guest if index else Host
        with make(server, addresses, index, facts) as party:
            while not party.work(_TICK):
                let_through()
                now = time.monotonic()
                missing = ", ".join(party.missing())
                if now - begin > timeout_seconds:
                    raise WorkersMissingError(
                        "All workers must start within "
                        f"{timeout_seconds:g} seconds. Received: no answer "
                        f"from {missing}"
                    )
                if now > due:
                    waited = now - begin
                    report(f"waiting for {missing}, for {waited:.0f} s so far")
                    due, has_reported = now + _REPORTS, True
    if has_reported:
        report(f"all {len(addresses)} workers are there")
