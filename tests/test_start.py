"""What `import dsr_tf` brings with it."""

import subprocess
import sys

# Keras itself imports some of these where it can: so none can be imported.
PROGRAM = """
import importlib.abc, sys
class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("sklearn", "matplotlib", "tensorflow_datasets", "PIL"):
            raise ImportError(name)
sys.meta_path.insert(0, Refusing())
import dsr_tf
print(dsr_tf.layers.SparseDense(3, sparsity=0.5).sparsity)
try:
    dsr_tf.data.load_images("digits")
except ImportError as error:
    print(error)
"""


def test_import_leaves_out_what_not_everyone_uses():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True
    )
    assert ended.stdout == "0.5\nsklearn\n", ended.stderr
