"""The authors' layout in Keras, for `benchmarks/keras_layout.py`: a process with a Python of its own, since it needs TensorFlow.

It reads light curves, pads each to a fixed number of steps, and then answers a line `train` or `predict` on its standard
input with the CPU seconds of one pass over them. Nothing of tlclass is imported.
"""

import os
import sys
import time

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np

BATCH = 128


def network(keras, steps: int, n_channels: int, n_classes: int, jit: bool):
    """The authors' network without metadata: masking, two GRU layers, four dense layers of 100 units, softmax."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((steps, n_channels)),
            layers.Masking(mask_value=0.0),
            layers.GRU(100, return_sequences=True),
            layers.GRU(100),
            layers.Dense(100, activation="tanh"),
            layers.Dense(100, activation="relu"),
            layers.Dense(100, activation="relu"),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="categorical_crossentropy", jit_compile=jit)
    return model


def main() -> None:
    curves, steps, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if variant == "tf_keras":
        import tf_keras as keras
    else:
        import keras
    given = np.load(curves)
    x, lengths, label = given["x"], given["lengths"], given["label"]
    padded = np.zeros((len(lengths), steps, x.shape[1]), dtype=np.float32)
    padded[np.arange(steps) < lengths[:, None]] = x
    one_hot = np.eye(int(given["n_classes"]), dtype=np.float32)[label]
    weights = dict.fromkeys(range(one_hot.shape[1]), 1.0)  # the authors pass class weights
    model = network(keras, steps, x.shape[1], one_hot.shape[1], jit=variant == "keras_xla")
    work = {
        "train": lambda: model.fit(padded, one_hot, batch_size=BATCH, epochs=1, class_weight=weights, verbose=0),
        "predict": lambda: model.predict(padded, batch_size=BATCH, verbose=0),
    }
    print(f"ready {model.count_params()}", flush=True)
    for line in sys.stdin:
        began = time.process_time()
        work[line.strip()]()
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
