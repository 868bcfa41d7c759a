"""Flags that do not change what a run computes, and those of other modes."""

from absl import flags

WHAT_TO_DO = (
    flags.DEFINE_enum(
        "mode",
        "train",
        ["train", "prune", "export", "evaluate", "report", "compare"],
        "train: train a network. prune: train with --method=compressed from "
        "the trained network that --model=FILE.keras or --init_from names; by "
        "default for 10 epochs, by adam, with --period=auto. export: write the "
        "network of the run in run_dir for use without this library. evaluate: "
        "print accuracy and loss of the network at model_path on the test "
        "images of a data set. "
        "report: write a page on finished runs, with pictures and tables. "
        "compare: print a table of finished runs.",
    ),
    flags.DEFINE_string(
        "run_dir",
        None,
        "Folder for the run's files. By default it is a folder in runs/, whose "
        "name is made of data set, model, method, sparsity, epochs, seed and "
        "other settings.",
    ),
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace the contents of run_dir (a finished run, an unfinished run "
        "with other flags, or an export) or the report in out.",
    ),
)
EXECUTION = (
    flags.DEFINE_enum(
        "strategy",
        "auto",
        ["auto", "none", "mirrored", "multi_worker"],
        "Devices to train on. none: one. mirrored: all GPUs of this machine. "
        "multi_worker: several processes, which TF_CONFIG or Slurm names. "
        "auto: several workers if they are named, else all GPUs.",
    ),
    flags.DEFINE_integer(
        "checkpoint_steps",
        None,
        "Optimizer steps between checkpoints within an epoch. A checkpoint is "
        "written at the end of the execution in which it is due. Without this "
        "flag, checkpoints are written only at the end of each epoch.",
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
        "Also keep the network of the epoch with the best value of this "
        "metric, as best.keras.",
    ),
    flags.DEFINE_bool(
        "tensorboard",
        False,
        "Log for TensorBoard, in the folder tensorboard/ of the run, where the "
        "weights are and how they move.",
    ),
)
EXPORT = (
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model", "saved_model_dense", "tflite", "npz", "csr"],
        "What to export. saved_model: a SavedModel with packed kernels, which "
        "are unpacked at loading; saved_model_dense: a SavedModel with dense "
        "kernels, zeros included; tflite: a TFLite file; npz, csr: NumPy "
        "arrays.",
    ),
    flags.DEFINE_enum(
        "quantize",
        None,
        ["float16", "int8"],
        "How to quantize the tflite export. The name of the file tells.",
    ),
    flags.DEFINE_enum(
        "encoding",
        "auto",
        ["auto", "sparse", "dense"],
        "How the tflite export encodes sparse kernels. auto: sparse where that "
        "is smaller and computes the outputs of the network, else dense.",
    ),
    flags.DEFINE_enum(
        "inputs",
        None,
        ["int8"],
        "int8: the tflite export takes and gives 8 bits, and its kernels are "
        "encoded dense, as microcontrollers need it; it needs "
        "--quantize=int8.",
    ),
    flags.DEFINE_enum(
        "compute",
        "dense",
        ["dense", "blocks"],
        "How the saved_model export computes. blocks: large layers whose "
        "weights move in blocks multiply by these.",
    ),
)
EVALUATE = (
    flags.DEFINE_string(
        "model_path",
        None,
        "What to evaluate. The folder of a finished run, by default run_dir, "
        "is evaluated on its own data set. A .keras file, a SavedModel or a "
        ".tflite file is evaluated on --dataset. The graph of a SavedModel may "
        "read and write files: evaluate only what you trust.",
    ),
)
REPORT = (
    flags.DEFINE_string(
        "runs",
        "runs/*",
        "report, compare: folders of runs, or patterns that match folders, "
        "separated by commas. A name that exists is no pattern.",
    ),
    flags.DEFINE_string("out", "report", "report: folder to write."),
)
