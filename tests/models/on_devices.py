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
from ssah_tf.models.pseudo_labels import AdaptiveThreshold, FixedThreshold, PseudoLabels
from ssah_tf.training.devices import make_strategy

STEPS = 20
#: Arguments of `make_game`. The steeper a loss, the faster rounding errors grow: the rates differ.
CASES = {
    "contrastive-float32": {
        "loss": "contrastive",
        "rate": 5e-4,
        "pseudo_labels": lambda: AdaptiveThreshold(align=True),
    },
    "likelihood-float32": {"loss": "likelihood", "rate": 3e-4},
    "csq-float32": {
        "loss": "csq",
        "rate": 5e-4,
        "pseudo_labels": lambda: FixedThreshold(0.3),
    },
    "orthohash-float32": {"loss": "orthohash", "rate": 1e-4},
    "adamw-float32": {"rate": 1e-4, "optimizer": keras.optimizers.AdamW},
    # The precision is the backbone's: one loss of pairs and one of targets stand for all.
    "likelihood-bfloat16": {"loss": "likelihood", "rate": 3e-4, "precision": "bfloat16"},
    "orthohash-bfloat16": {"loss": "orthohash", "rate": 1e-4, "precision": "bfloat16"},
}


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
        chosen = options.pop("pseudo_labels", PseudoLabels)
        with strategy.scope():
            pace = CompetencePace(wait=1, mastery=1.0, increment=0.05)
            game = make_game(ema=True, pace=pace, pseudo_labels=chosen(), **options)
        began = {f"began/{v.path}": v.numpy() for v in game.hnet.trainable_variables}
        history = {}
        for stage in game.STAGES if case == "likelihood-float32" else ["joint"]:
            history |= train(game, batches(STEPS, batch=16), [stage])
        np.savez(folder / f"{case}.npz", **results(game, history), **began)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
