"""Two logical CPUs, set before TensorFlow starts, and shared fixtures."""

import gc
import os
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Several examples a test, each with its own shapes: no time limit.
import hypothesis
import keras
import pytest
import tensorflow as tf

from tests.distributed.iterators import keep_iterators
from tests.forking import Starter

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

hypothesis.settings.register_profile(
    "default",
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="module", autouse=True)
def first_names():
    """Lets Keras name the layers of a file as if no other came before it.

    Not those of a test: TensorFlow forgets its kernels too, which takes time.
    """
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(scope="session")
def strategy():
    """Returns a strategy of two replicas, one for all files of a process.

    A second one counts its collectives from the same number, which fails or
    adds up what does not belong together.
    """
    found = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    keep_iterators(found)
    return found


@pytest.fixture
def policy(request):
    """Sets how layers compute by default."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="session")
def starter():
    """Returns what starts runs of main.py that need no new interpreter."""
    with Starter() as found:
        yield found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Puts files with the most slow tests first, then those with the most.

    A file's tests stay in one process. Those that are short come last, so that
    no process ends long before another.
    """
    slow = Counter(x.path for x in items if x.get_closest_marker("slow"))
    number = Counter(x.path for x in items)
    items.sort(key=lambda x: (-slow[x.path], -number[x.path]))


def pytest_collection_finish():
    """Lets collections of garbage pass over what is never garbage.

    TensorFlow and the tests bring half a million objects. To look at all of
    them takes half a second, and graphs lead to many collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
