"""Runs of main.py, as a user starts them; see `tests/digests.py`."""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import keras

from tests.digest_values import digest
from tests.digest_values import of_network
from tests.digest_values import write_runs

COMMON = (
    "--epochs=2 --train_examples=300 --batch_size=20 --period=5 --verbosity=-1"
)
# In a file, as there settings of other methods are passed over.
SETTINGS = """--initial_threshold=0.02
--num_pruned=60
--temperature=1e-3
--num_prunes=4
"""
LENET = "--model=lenet_300_100 --learning_rate=0:0.1,1:0.02"
WRN = "--model=wide_resnet --depth=10 --width=1 --learning_rate=0.05"
# {name} stands for the folder of another run.
FLAGS = {
    "lenet_dense": f"{LENET} --method=dense",
    "lenet_thin_dense": f"{LENET} --method=thin_dense --width=0.2",
    "lenet_static": f"{LENET} --method=static",
    "lenet_set": f"{LENET} --method=set",
    "lenet_deepr": f"{LENET} --method=deepr",
    "lenet_dsr_balanced": f"{LENET} --method=dsr --distribution=balanced",
    "lenet_rigl": f"{LENET} --method=rigl",
    "lenet_itop": f"{LENET} --method=itop",
    "lenet_itop_random": f"{LENET} --method=itop --growth=random",
    "lenet_snfs": f"{LENET} --method=snfs",
    "lenet_granet": f"{LENET} --method=granet",
    "lenet_mest": f"{LENET} --method=mest",
    "lenet_mest_soft": f"{LENET} --method=mest --soft",
    "lenet_chts": f"{LENET} --method=chts --percolate",
    "lenet_hashed": f"{LENET} --method=hashed",
    "lenet_dsr": f"{LENET} --method=dsr",
    "default_jit_lenet_dsr": f"{LENET} --method=dsr",
    "lenet_dsr_period_10_15": f"{LENET} --method=dsr --period=0:10,1:15",
    "lenet_dsr_stopped": f"{LENET} --method=dsr --stop_epoch=1 --l2=1e-4",
    "lenet_dsr_regrown": f"{LENET} --method=dsr --regrow_stddev=0.01",
    "lenet_dsr_mirrored": f"{LENET} --method=dsr --strategy=mirrored",
    "lenet_compressed": f"{LENET} --method=compressed "
    "--init_from={lenet_dense}",
    "lenet_compressed_each": f"{LENET} --method=compressed "
    "--init_from={lenet_dense} --noprune_across_tensors "
    "--prune_schedule=exponential",
    "lenet_static_of_weights": f"{LENET} --method=static "
    "--init_from={lenet_dense}",
    "lenet_static_of_masks": f"{LENET} --method=static "
    "--masks_from={lenet_dsr} --weights_from={lenet_dsr}",
    "lenet_dsr_of_masks": f"{LENET} --method=dsr "
    "--masks_from={lenet_dsr} --weights_from=random",
    "wrn_dense": f"{WRN} --method=dense",
    "wrn_thin_dense": f"{WRN} --method=thin_dense --width=0.5",
    "wrn_static": f"{WRN} --method=static",
    "wrn_set": f"{WRN} --method=set --sparse_logits",
    "wrn_deepr": f"{WRN} --method=deepr",
    "wrn_rigl": f"{WRN} --method=rigl --distribution=erk",
    "wrn_snfs": f"{WRN} --method=snfs",
    "wrn_granet": f"{WRN} --method=granet",
    "wrn_chts": f"{WRN} --method=chts",
    "wrn_hashed": f"{WRN} --method=hashed",
    "wrn_dsr": f"{WRN} --method=dsr --keep_best=val_accuracy",
    "wrn_compressed": f"{WRN} --method=compressed --init_from={{wrn_dense}}",
    "wrn_dsr_kernel": f"{WRN} --method=dsr --granularity=kernel "
    "--group_lasso=1e-4",
    "wrn_set_kernel": f"{WRN} --method=set --granularity=kernel",
    "wrn_compressed_kernel": f"{WRN} --method=compressed "
    "--granularity=kernel --init_from={wrn_dense}",
    "wrn_static_of_masks": f"{WRN} --method=static --granularity=kernel "
    "--masks_from={wrn_dsr_kernel} --weights_from={wrn_dsr_kernel}",
}


class Runs:
    """Makes runs in a folder, each once, and first those they start from."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.settings = self.folder / "settings.cfg"
        self.settings.write_text(SETTINGS)

    def run_folder(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            sources = {
                source: self.run_folder(source)
                for source in FLAGS
                if f"{{{source}}}" in FLAGS[name]
            }
            flags = f"--flagfile={self.settings} {COMMON} {FLAGS[name]}".format(
                **sources
            )
            _call(name, *flags.split(), f"--run_dir={path}")
        return path

    def digests(self, name: str) -> dict[str, str]:
        path = self.run_folder(name)
        model = keras.models.load_model(path / "model.keras")
        found = of_network(model) | {
            "slots": digest(model.optimizer.variables),
            "metrics": (path / "metrics.csv").read_text(),
        }
        for kind in ("initial", "best"):
            if (file := path / f"{kind}.keras").exists():
                other = keras.models.load_model(file, compile=False)
                found |= of_network(other, f"{kind}_")
        return found


def _call(name: str, *flags: str) -> None:
    plain = ["main.py"] if name.startswith("default_jit_") else None
    command = [sys.executable, *(plain or ["-m", "tests.main_without_xla"])]
    run = subprocess.run([*command, *flags], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(flags)}: {run.stderr[-2000:]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = Runs(folder)
        runs = {name: functools.partial(made.digests, name) for name in FLAGS}
        write_runs(runs, *sys.argv[1:])
