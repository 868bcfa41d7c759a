"""What has to be the same on all workers of a run."""

import hashlib
import os
import platform
import zlib
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.data import ImageSet
from dsr_tf.data.images import Images
from dsr_tf.runs.config import Config
from dsr_tf.runs.config import Start
from dsr_tf.runs.earlier import INITIAL
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.flagfile import parsed_flags

_PACKAGE = Path(__file__).parents[1]
# Workers may keep the same data in folders of different names.
_OWN_FLAGS = ("--data_dir",)
# Channels of images; tables have more features, and a message is one line.
_FEW = 4


def facts(config: Config, images: ImageSet) -> dict[str, str]:
    """Returns what has to be the same on all workers of a run, by name.

    Args:
        config: Settings of the run, as this worker has them.
        images: The data set, as this worker has it.
    """
    return {
        **_flags(config),
        **_start(config.start),
        **data_facts(images),
        **_versions(),
        "the code of dsr_tf": _code(),
    }


def _flags(config: Config) -> dict[str, str]:
    """Returns the flags that change the result, or when workers wait."""
    given = parsed_flags(config.flags).items()
    found = dict(
        (name, value) if value else _switch(name)
        for name, value in given
        if name not in _OWN_FLAGS
    )
    execution = config.execution
    # All save and write at once, as some variables are added up for it.
    for name in ("checkpoint_steps", "keep_best", "tensorboard"):
        found[f"--{name}"] = str(getattr(execution, name))
    return found


def _switch(name: str) -> tuple[str, str]:
    """Returns name and value of a flag that is on or off."""
    is_off = name.startswith("--no")
    return "--" + name[4 if is_off else 2 :], str(not is_off)


def _start(start: Start) -> dict[str, str]:
    """Returns what the files are that a run starts from."""
    named = {
        "init_from": (start.init_from, MODEL),
        "masks_from": (start.masks_from, MODEL),
        "weights_from": (start.weights_from, INITIAL),
    }
    found = {}
    for name, (run, file) in named.items():
        path = Path(run or "", file)
        if name == "init_from" and run and Path(run).is_file():
            path = Path(run)
        # One that is missing is refused by its own message.
        if run and path.is_file():
            checksum = zlib.crc32(path.read_bytes())
            found[f"the file of --{name}"] = f"{checksum:08x}"
    return found


def data_facts(images: ImageSet) -> dict[str, str]:
    """Returns what tells a data set from another, by name in words."""
    found = {
        "the data set": images.name,
        "its number of training images": str(images.num_train),
        "its number of classes": str(images.num_classes),
        "the shape of its images": str(tuple(images.image_shape)),
    }
    if isinstance(images, Images):
        found |= _in_memory(images)
    # `ImageFiles` is not imported: with it TFDS would be, which is slow.
    files = [getattr(images, f"{x}_files", ()) for x in ("train", "test")]
    if any(files):
        text = "\n".join(line for own in files for line in _files(own))
        found["the list of its files"] = _digest(text.encode())
    return found


def _in_memory(images: Images) -> dict[str, str]:
    return {
        "its number of test images": str(len(images.test_labels)),
        "the checksum of its training images": _checksum(
            images.train_images, images.train_labels
        ),
        "the checksum of its test images": _checksum(
            images.test_images, images.test_labels
        ),
        "their preparation": f"{_moments(images)}, augment={images.augment}",
    }


def _moments(images: Images) -> str:
    """Returns mean and standard deviation; of many features, their checksum."""
    if len(images.mean) <= _FEW:
        return f"mean={images.mean}, stddev={images.stddev}"
    return f"moments={_checksum(np.array([images.mean, images.stddev]))}"


def _checksum(*arrays: np.ndarray) -> str:
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return f"{found:08x}"


def _files(instructions: Sequence[Any]) -> Iterator[str]:
    """Yields a line on each file: version, name, size, images to read."""
    for each in instructions:
        path = os.fspath(each.filename)
        # Of files elsewhere, as in a bucket, each size would be a request.
        size = os.path.getsize(path) if os.path.exists(path) else None
        version = "/".join(path.split("/")[-2:])
        yield f"{version} {size} {each.skip} {each.take}"


def _versions() -> dict[str, str]:
    return {
        "the version of Python": platform.python_version(),
        "the version of TensorFlow": tf.__version__,
        "the version of Keras": keras.__version__,
        "the version of NumPy": np.__version__,
        "Keras' configuration": f"{keras.config.backend()}, "
        f"{keras.config.floatx()}, {keras.config.image_data_format()}, "
        f"{keras.config.epsilon()}, {keras.config.dtype_policy().name}",
    }


def _code() -> str:
    """Returns a digest of the package's own source files."""
    files = sorted(_PACKAGE.rglob("*.py"))
    names = [path.relative_to(_PACKAGE).as_posix() for path in files]
    texts = [path.read_bytes() for path in files]
    each = [f"{n} {_digest(t)}" for n, t in zip(names, texts, strict=True)]
    return _digest("\n".join(each).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
