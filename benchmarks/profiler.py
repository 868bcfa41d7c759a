"""What TensorFlow's profiler sees, as a list."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

import tensorflow as tf

# Not a public name, but the profiler's files are read in no other way without
# a plugin of TensorBoard.
from tensorflow.tsl.profiler.protobuf import xplane_pb2


class Event(NamedTuple):
    """Something the profiler saw."""

    begin: int
    name: str
    seconds: float
    stats: dict[str, int]

    @property
    def operation(self) -> str | None:
        """Type of the operation that was executed, if it was one."""
        found = re.fullmatch(r"[^:\s]+:(_?[A-Z]\w+)", self.name)
        return found[1] if found else None


def events(run: Callable[[], Any]) -> list[Event]:
    """Calls a function, and returns what the profiler saw, in order."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    return sorted(
        (
            Event(
                1000 * line.timestamp_ns + event.offset_ps,
                plane.event_metadata[event.metadata_id].name,
                event.duration_ps / 1e12,
                {
                    plane.stat_metadata[stat.metadata_id].name: stat.int64_value
                    for stat in event.stats
                },
            )
            for plane in space.planes
            for line in plane.lines
            for event in line.events
        ),
        key=lambda event: event.begin,
    )
