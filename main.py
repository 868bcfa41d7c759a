"""Trains a sparse network. `python main.py --help` lists the flags."""

# The package then keeps TensorFlow quiet from the start.
RUNS_DSR_TF = True

if __name__ == "__main__":
    from dsr_tf.__main__ import main

    main()
