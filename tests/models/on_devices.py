"""Trains small games on a number of logical CPUs: `python on_devices.py DEVICES FOLDER`.

A process can cut its CPU only once, so each number of devices has a process of its own. For each
case a file `FOLDER/<case>.npz` is left, with all that should not depend on the devices.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from test_game import batches, make_game, train

from ssah_tf.models import CompetencePace
from ssah_tf.training.devices import make_strategy

STEPS = 20
#: Learning rate of each loss: the steeper it is, the faster rounding errors grow.
RATES = {"contrastive": 5e-4, "likelihood": 3e-4, "csq": 5e-4, "orthohash": 1e-4}
#: Arguments of `make_game`.
CASES = {
    f"{loss}-{precision}": {"loss": loss, "rate": rate, "precision": precision}
    for precision in ("float32", "bfloat16")
    for loss, rate in RATES.items()
}
CASES["adamw-float32"] = {"rate": 1e-4, "optimizer": keras.optimizers.AdamW}


def results(game, history) -> dict[str, np.ndarray]:
    """Weights, the state of both optimizers with the averages, and logs, by their names."""
    parts = {"game": game, "hnet": game.hnet_optimizer, "anet": game.anet_optimizer}
    found = {
        f"{part}/{number}/{variable.path}": variable.numpy()
        for part, owner in parts.items()
        for number, variable in enumerate(owner.variables)
    }
    for stage, terms in history.items():
        found |= {f"log/{stage}/{name}": np.array(values) for name, values in terms.items()}
    return found


def main(devices: int, folder: Path) -> None:
    """Train every case."""
    strategy = make_strategy(devices)
    for case, options in CASES.items():
        pace = CompetencePace(wait=1, mastery=1.0, increment=0.05)
        with strategy.scope():
            game = make_game(ema=True, pace=pace, **options)
        began = {f"began/{v.path}": v.numpy() for v in game.hnet.trainable_variables}
        history = {}
        for stage in game.STAGES:
            steps = STEPS if stage == "joint" else 2
            history |= train(game, batches(steps, batch=16), [stage])
        np.savez(folder / f"{case}.npz", **results(game, history), **began)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
