"""`python -m dsr_tf` does what `python main.py` does."""

from dsr_tf import launch


def main() -> None:
    """Runs the command line of this process, and exits."""
    launch.begin()
    import tensorflow as tf

    from dsr_tf import cli

    # What looks for GPUs first prints if there is none.
    tf.config.list_physical_devices()
    launch.started()
    cli.main()


if __name__ == "__main__":
    main()
