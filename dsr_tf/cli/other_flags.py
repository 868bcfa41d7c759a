"""Flags that do not change what a run computes, and those of other modes."""

from absl import flags

WHAT_TO_DO = (
    flags.DEFINE_enum(
        "mode",
        "train",
        ["train", "export", "evaluate", "report", "compare"],
        "train: train a network. export: write the network of the run in "
        "run_dir for use without this library. evaluate: print accuracy and "
        "loss, on the test images of a data set, of what model_path names. "
        "report: write a page on finished runs, with pictures and tables. "
        "compare: print a table of them.",
    ),
    flags.DEFINE_string(
        "run_dir",
        None,
        "Folder for the run's files. By default runs/ and a name made of data "
        "set, model, method, sparsity, epochs, seed and such.",
    ),
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace what run_dir holds: a finished run, an unfinished one of "
        "other flags, or an export; or the report in out.",
    ),
)
EXECUTION = (
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "none", "mirrored", "multi_worker"],
        "Devices to train on. none: one. mirrored: all GPUs of this machine. "
        "multi_worker: several processes, which TF_CONFIG or Slurm names. "
        "auto: several workers where they are named, else all GPUs.",
    ),
    flags.DEFINE_integer(
        "checkpoint_steps",
        None,
        "Optimizer steps between checkpoints within an epoch, written at the "
        "end of the execution in which they are due; without it there is one "
        "at the end of each epoch.",
        lower_bound=1,
    ),
    flags.DEFINE_integer(
        "keep_checkpoints",
        3,
        "How many of the newest checkpoints to keep.",
        lower_bound=1,
    ),
    flags.DEFINE_enum(
        "keep_best",
        None,
        ["val_accuracy", "val_loss", "accuracy", "loss"],
        "Also keep the network of the epoch at which this was best, as "
        "best.keras.",
    ),
    flags.DEFINE_bool(
        "tensorboard",
        False,
        "Write, for TensorBoard, where the weights are and went, into the "
        "folder tensorboard/ of the run.",
    ),
)
EXPORT = (
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model", "saved_model_dense", "tflite", "npz", "csr"],
        "What to export. saved_model: packed, unpacked when it is loaded; "
        "saved_model_dense: with zeros written out; tflite: a TFLite file; "
        "npz, csr: NumPy arrays.",
    ),
    flags.DEFINE_enum(
        "quantize",
        None,
        ["float16", "int8"],
        "How to quantize what is exported as tflite.",
    ),
)
EVALUATE = (
    flags.DEFINE_string(
        "model_path",
        None,
        "What to evaluate: the folder of a finished run, by default that in "
        "run_dir, on its own data set; or a .keras file, a SavedModel or a "
        ".tflite file, exported or not, on --dataset.",
    ),
)
REPORT = (
    flags.DEFINE_string(
        "runs",
        "runs/*",
        "report, compare: folders of runs, or patterns of such, separated by "
        "commas.",
    ),
    flags.DEFINE_string("out", "report", "report: folder to write."),
)
