"""Downloads and prepares a data set of TensorFlow Datasets."""

import contextlib
import urllib.error
import urllib.request
from typing import Any

from dsr_tf.checks import first_line
from dsr_tf.data.image_set import DatasetUnavailableError


def prepare(builder: Any, name: str) -> None:
    """Downloads and prepares a set, unless it is already prepared.

    Args:
        builder: The set's TFDS builder.
        name: Name that the user gave.

    Raises:
        DatasetUnavailableError: If that fails. The message is one line, and
            says what to do.
    """
    if builder.is_prepared():
        return
    try:
        # A set that is downloaded by hand needs no network now.
        if not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            _check_network(builder)
        builder.download_and_prepare()
    # Broad, as TFDS passes on whatever its downloaders raise.
    except Exception as error:
        raise DatasetUnavailableError(
            f"Data set '{name}' is not at {builder.data_path} and could not "
            f"be prepared ({first_line(error)}). {_remedy(builder, name)}, or "
            "name its folder by --data_dir."
        ) from error


def _remedy(builder: Any, name: str) -> str:
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return (
            "Download its files by hand, as described at "
            f"https://www.tensorflow.org/datasets/catalog/{builder.name}, "
            f"and run `tfds build {name}`"
        )
    return (
        f"Run `tfds build {name}` on a machine with a network and copy the "
        "folder"
    )


def _check_network(builder: Any) -> None:
    """Raises OSError if the host of the download does not answer.

    Without this check, TFDS would retry for minutes.
    """
    for url in list(builder.url_infos)[:1]:
        request = urllib.request.Request(url, method="HEAD")
        # Any answer will do, an error of the server's own included.
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=10).close()
