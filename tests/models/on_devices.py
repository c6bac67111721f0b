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

#: Joint steps. Training amplifies rounding, so that long runs are compared in float64 alone.
STEPS = {"float64": 20, "float32": 1, "bfloat16": 1}
#: Arguments of `make_game`; the second word is the type of all numbers, bfloat16 the backbone's.
CASES = {
    "contrastive-float64": {
        "loss": "contrastive",
        "pseudo_labels": lambda: AdaptiveThreshold(align=True),
    },
    "likelihood-float64": {"loss": "likelihood"},
    "csq-float64": {
        "loss": "csq",
        "balance_weight": 1.0,
        "pseudo_labels": lambda: FixedThreshold(0.3),
    },
    "orthohash-float64": {"loss": "orthohash"},
    "adamw-float64": {"rate": 1e-3, "optimizer": keras.optimizers.AdamW},
    # One loss of pairs and one of targets stand for all.
    "likelihood-float32": {"loss": "likelihood"},
    # Some draws have a choice of A-Net so near that rounding turns it; this one has none.
    "orthohash-float32": {"loss": "orthohash", "seed": 1},
    "likelihood-bfloat16": {"loss": "likelihood"},
    "orthohash-bfloat16": {"loss": "orthohash"},
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
        precision = case.split("-")[1]
        everything = "float64" if precision == "float64" else "float32"
        keras.config.set_floatx(everything)
        keras.config.set_dtype_policy(everything)
        chosen = options.pop("pseudo_labels", PseudoLabels)
        with strategy.scope():
            pace = CompetencePace(wait=1, mastery=1.0, increment=0.05)
            game = make_game(
                ema=True, pace=pace, pseudo_labels=chosen(), precision=precision, **options
            )
        began = {f"began/{v.path}": v.numpy() for v in game.hnet.trainable_variables}
        history = {}
        for stage in game.STAGES if case == "likelihood-float64" else ["joint"]:
            history |= train(game, batches(STEPS[precision], batch=16), [stage])
        np.savez(folder / f"{case}.npz", **results(game, history), **began)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
