"""Flags that determine what a run computes, without the method's flags."""

from absl import flags

from dsr_tf.cli.flag_types import GranularityName
from dsr_tf.cli.flag_types import ModelName
from dsr_tf.cli.flag_types import Period
from dsr_tf.cli.flag_types import define_number
from dsr_tf.cli.flag_types import define_schedule
from dsr_tf.methods.records import records
from dsr_tf.runs.optimizers import OPTIMIZERS

DATA = (
    flags.DEFINE_string(
        "dataset",
        "digits",
        "Data set: digits, which is built in; an image-classification set of "
        "TensorFlow Datasets, such as mnist, cifar10 or imagenet2012; a folder "
        "of images, written with a slash, such as photos/, with a subfolder "
        "for each class, or with train/ and test/, which have these; or an "
        ".npz file with x_train, y_train, x_test and y_test, or x and y: "
        "images, or vectors of features.",
    ),
    flags.DEFINE_string(
        "data_dir", None, "Where TensorFlow Datasets keeps prepared sets."
    ),
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width to crop images to, in sets whose images vary in "
        "size, and in folders. By default 224; in folders their own size, if "
        "all have one of at most 256.",
        lower_bound=1,
    ),
    flags.DEFINE_integer(
        "train_examples",
        None,
        "Train on only the first so many images of the data set.",
        lower_bound=1,
    ),
    flags.DEFINE_string(
        "train_split",
        None,
        "Split of a set of TensorFlow Datasets to train on, or a part of one, "
        "such as train[:80%]. By default the part of train that is not tested.",
    ),
    flags.DEFINE_string(
        "test_split",
        None,
        "The same to test on, such as train[80%:]. By default test, or "
        "validation if test is missing or has no labels. Of a folder or file "
        "that has no test part: the share of each class to test, by default "
        "0.2.",
    ),
    flags.DEFINE_bool(
        "augment",
        None,
        "Shift training images by up to 4 pixels and mirror half of them, at "
        "random. By default only those of cifar10 and cifar100. Images that "
        "vary in size are always cropped and mirrored at random.",
    ),
    flags.DEFINE_bool(
        "standardize",
        True,
        "Take mean and standard deviation out of the channels of images, or of "
        "features. Otherwise networks get the values as they are.",
    ),
)
NETWORK = (
    flags.DEFINE(
        ModelName(),
        "model",
        "lenet_300_100",
        "Network. Those of keras.applications begin with random weights. A "
        ".keras file brings its weights, and its masks if it is sparse. "
        "function takes nothing, or input_shape and num_classes, and returns a "
        "Keras model.",
        serializer=flags.ArgumentSerializer(),
    ),
    flags.DEFINE_integer(
        "depth", 28, "Layers of wide_resnet: 6n + 4.", lower_bound=10
    ),
    define_number(
        "width",
        None,
        "Factor on the number of channels. By default 2 for wide_resnet, and 1 "
        "for others.",
        above=True,
        below=100,
    ),
    flags.DEFINE_bool(
        "sparse_logits",
        False,
        "Make the last layer of wide_resnet sparse too, as in the paper's "
        "text; in the authors' code it is dense.",
    ),
)
BUDGET = (
    flags.DEFINE_enum(
        "method",
        "dsr",
        [record.name for record in records()],
        "How parameters are kept within the budget. "
        + "; ".join(f"{record.name}: {record.help}" for record in records())
        + ".",
    ),
    define_number(
        "sparsity",
        0.9,
        "Fraction of zeros in the sparse layers, or of parameters that hashed "
        "layers save.",
        below=1,
    ),
    flags.DEFINE_enum(
        "distribution",
        "uniform",
        ["uniform", "erk", "balanced"],
        "How the budget is split between layers at the start. uniform: every "
        "layer has the same sparsity. erk: large layers are sparser than small "
        "ones. balanced: each layer gets as many as it has of the weights that "
        "matter most to the loss of the first batch.",
    ),
    flags.DEFINE(
        GranularityName(),
        "granularity",
        "weight",
        "What moves as one. weight: single weights. kernel: in convolutions, "
        "all weights between one input and one output channel. 16x16: in dense "
        "layers and 1x1 convolutions, blocks of 16 inputs and 16 outputs, or "
        "of the largest divisors of their numbers below.",
        serializer=flags.ArgumentSerializer(),
    ),
    flags.DEFINE_enum(
        "storage",
        "masks",
        ["masks", "blocks", "auto"],
        "How kernels are stored. masks: whole, under a mask. blocks: their "
        "active blocks alone, which saves time and memory in training. auto: "
        "blocks where they make a step faster.",
    ),
)
TRAINING = (
    flags.DEFINE_integer("epochs", 100, "Epochs to train.", lower_bound=1),
    flags.DEFINE_integer(
        "batch_size",
        100,
        "Images in a batch; of data of your own 32.",
        lower_bound=1,
    ),
    flags.DEFINE_enum(
        "optimizer",
        "sgd",
        list(OPTIMIZERS),
        "Optimizer. For a network or data of your own the default is adam.",
    ),
    define_schedule(
        "learning_rate",
        "0:0.1,25:0.02,50:0.004,75:0.0008",
        "Learning rate. With an --optimizer other than sgd the default is "
        "cosine:0.001:0.",
        above=True,
        ends_at_lower=True,
    ),
    define_number(
        "warmup_epochs",
        0.0,
        "Epochs in which the learning rate rises from 0 to its value.",
    ),
    define_number("momentum", 0.9, "Nesterov momentum of sgd.", below=1),
    define_number(
        "weight_decay",
        None,
        "Share of each weight that a step takes away, times the learning rate. "
        "By default 0.004 for adamw, and none for others.",
    ),
    define_number(
        "l1",
        1e-4,
        "L1 penalty: adds l1 * sign(w) to gradients. By default 0 for networks "
        "that are not of this library, which cannot have one.",
    ),
    define_number("l2", 0.0, "L2 penalty: adds l2 * w to gradients."),
    define_number(
        "group_lasso",
        0.0,
        "Penalty on the norm of each slice that --granularity=kernel moves.",
    ),
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of all random numbers.",
        lower_bound=0,
        upper_bound=2**31 - 1,
    ),
    flags.DEFINE_enum(
        "jit",
        "auto",
        ["auto", "on", "off"],
        "Compile steps by XLA. auto: what was measured to be faster, as far as "
        "it is known.",
    ),
    flags.DEFINE_enum(
        "mixed_precision",
        None,
        ["float16", "bfloat16"],
        "Compute in 16 bits; weights stay in 32.",
    ),
)
MOVES = (
    flags.DEFINE(
        Period(),
        "period",
        "0:15,25:30,50:60,75:120",
        "Optimizer steps between reallocations or prunes. auto: a hundredth of "
        "the training, but at least 10, or a quarter of it; so that "
        "--num_prunes end after three quarters, as the moves of dsr, set and "
        "chts do then, and all others before the last step. For a network or "
        "data of your own the default is auto.",
        serializer=flags.ArgumentSerializer(),
    ),
    flags.DEFINE_integer(
        "stop_epoch",
        None,
        "Epoch from which on the masks no longer change.",
        lower_bound=0,
    ),
    flags.DEFINE_integer(
        "begin_step",
        0,
        "Optimizer step from which on --period counts. The masks do not change "
        "before.",
        lower_bound=0,
    ),
)
START = (
    flags.DEFINE_string(
        "init_from",
        None,
        "Start with the weights of a finished run, given by its folder, or of "
        "a .keras file of the same network, and with its masks if it is "
        "sparse. Network, data set and budget are those of the run, unless "
        "they are given. Under another --sparsity the largest weights are "
        "kept.",
    ),
    flags.DEFINE_string(
        "masks_from",
        None,
        "Start with the last masks of this run, given by its folder; needs "
        "--weights_from or --init_from.",
    ),
    flags.DEFINE_string(
        "weights_from",
        None,
        "Start with the first weights of this run, given by its folder. "
        "random: start with fresh weights, which no run has.",
    ),
)
