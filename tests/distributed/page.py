"""Runs the Python of a page of `docs/` under a mirrored strategy.

Arguments: the page, and a folder to run in.
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

page, folder = sys.argv[1:]
text = Path(page).read_text()
assert 'choose_strategy("none")' in text
text = text.replace('choose_strategy("none")', 'choose_strategy("mirrored")')
os.chdir(folder)
names = {"__name__": "page"}
for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
    exec(compile(block, page, "exec"), names)

assert names["strategy"].num_replicas_in_sync == 2
for name in ("reallocator", "of_generator", "of_discriminator"):
    reallocator = names[name]
    assert reallocator.counters.weights_moved > 0, name
    for layer in reallocator.layers:
        for kernel, mask in zip(
            layer.kernel.value.values, layer.kernel_mask.value.values,
            strict=True,
        ):  # fmt: skip
            assert not kernel.numpy()[~mask.numpy()].any()
            first = layer.kernel.value.values[0].numpy()
            assert np.array_equal(kernel.numpy(), first)
assert names["budget"] == names["reallocator"].num_active
numbers = names["of_generator"].num_active, names["of_discriminator"].num_active
assert names["budgets"] == numbers
assert len(set(names["history"].history["active_weights"])) == 1
