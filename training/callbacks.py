"""What happens beside the steps: validation, checkpoints, stopping, the album of hard samples."""

import json
import math
import time

import keras
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.system.errors import RunError, Stopped
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.machine import need_room
from ssah_tf.system.signals import StopSignals
from ssah_tf.training.run import LOST, Run
from ssah_tf.training.selection import selected_epoch
from ssah_tf.training.with_labels import VALIDATION_DATABASE, codes_of


class Diverged(RunError):
    """The loss of a training is not a number any more."""


class StopOnNaN(keras.callbacks.Callback):
    """Stops with an explanation when the loss is not a number any more."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the running means of the losses.

        Raises:
            Diverged: One of them is not finite.
        """
        bad = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if bad:
            raise Diverged(
                f"{' and '.join(bad)} became NaN or infinite at step {batch + 1} of an epoch; "
                "the last checkpoint is kept: lower train.hnet.learning_rate, or "
                "train.anet.learning_rate if it is the adversary"
            )


class Validate(keras.callbacks.Callback):
    """Validation mAP after every epoch, and the selected encoder in `model.keras`.

    The validation images are the queries, up to `VALIDATION_DATABASE` of the labelled training
    images the database: each epoch encodes them anew. An epoch of the last stage is selected by
    `selected_epoch`; before that stage the game is not complete.

    Args:
        run: The run.
        images: Its images.
        last_epochs: Numbers of the epochs of the last stage.
        known: Features of images at some positions, if the backbone is frozen: those images are
            not looked at again.
    """

    def __init__(
        self,
        run: Run,
        images: ImageSet,
        last_epochs: range,
        known: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        super().__init__()
        self.run = run
        self.images = images
        self.size = run.recipe.data.image_size
        split = run.split
        self.queries = images.positions(split.validation)
        self.database = evenly(images.positions(split.labelled), VALIDATION_DATABASE)
        self.last_epochs = last_epochs
        self.features = {} if known is None else dict(zip(known[0].tolist(), known[1], strict=True))

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Measure and, if this is the epoch to select so far, save the encoder."""
        with self.model.averaged_weights() as hnet:
            precision = self.average_precision(hnet)
            logs["validation_map"], logs["validation_error"] = mean_and_error(precision)
            if epoch not in self.last_epochs:
                return
            before = [e for e in self.run.history if e["epoch"] in self.last_epochs]
            if selected_epoch([*before, logs]) == len(before):
                with atomic_path(self.run.model_path) as path:
                    hnet.save(path)
                self.keep(precision)

    def validation_map(self, hnet: HNet) -> tuple[float | None, float | None]:
        """Tie-aware mAP of validation images, and its standard error, of the encoder to keep.

        `None` where no image validates.
        """
        precision = self.average_precision(hnet)
        self.keep(precision)
        return mean_and_error(precision)

    def keep(self, precision: list[float]) -> None:
        """Write what each validation image has with the selected encoder, in their order."""
        rounded = [round(value, 6) for value in precision]
        write_atomically(self.run.validation_path, json.dumps(rounded).encode())

    def average_precision(self, hnet: HNet) -> list[float]:
        """Tie-aware average precision of each validation image against labelled ones."""
        if not len(self.queries):
            return []
        codes = [self.codes(hnet, part) for part in (self.queries, self.database)]
        labels = [self.images.labels[part] for part in (self.queries, self.database)]
        found = evaluate_retrieval(
            codes[0], labels[0], codes[1], labels[1], hnet.bits, cutoffs=(), n_bootstrap=0
        )
        return list(found.average_precision)

    def codes(self, hnet: HNet, positions: np.ndarray) -> np.ndarray:
        """Packed codes of images; from their features, if those of all are known."""
        if not self.features.keys() >= set(positions.tolist()):
            return codes_of(hnet, self.images, positions, self.size)
        known = np.stack([self.features[position] for position in positions.tolist()])
        return np.packbits(hnet.code_logits(known).numpy() >= 0, axis=1)


def mean_and_error(precision: list[float]) -> tuple[float | None, float | None]:
    """Mean of some values, and its standard error; `None` of no values."""
    if not precision:
        return None, None
    error = np.std(precision) / max(1, len(precision) - 1) ** 0.5
    return float(np.mean(precision)), float(error)


class Keep(keras.callbacks.Callback):
    """A checkpoint and the history after every epoch; what is written is whole."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run
        self.steps_per_epoch = run.recipe.train.steps_per_epoch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the history first: what it has beyond the checkpoint is cut off after a crash."""
        entry = {
            "epoch": epoch,
            "stage": self.model.stage,
            "seconds": round(time.monotonic() - self.began, 2),
            **({LOST: len(self.run.missing)} if self.run.missing else {}),
            **{name: float(value) for name, value in (logs or {}).items()},
        }
        self.run.save_history([*self.run.history[:epoch], entry])
        self.checkpoint((epoch + 1) * self.steps_per_epoch)

    def checkpoint(self, steps: int) -> None:
        """Write the state after a number of steps; the one before the last goes."""
        with atomic_path(self.run.checkpoint_path(steps)) as path:
            need_room(path, 2**20 + 8 * sum(math.prod(v.shape) for v in self.model.variables))
            self.model.save_weights(path)
        self.run.drop_old_checkpoints()


class Stop(keras.callbacks.Callback):
    """Ends the training after a signal; the last of the callbacks, since it raises.

    Args:
        run: The run.
        signals: Where signals are noted.
        keep: Writes the checkpoint within an epoch; none is written without it, by workers.
    """

    def __init__(self, run: Run, signals: StopSignals, keep: Keep | None = None):
        super().__init__()
        self.run = run
        self.signals = signals
        self.keep = keep
        self.steps_per_epoch = run.recipe.train.steps_per_epoch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember which epoch it is."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """After a signal, write a checkpoint and stop; the last batch leaves that to the epoch.

        Raises:
            Stopped: There was a signal.
        """
        if self.signals.received is not None and batch + 1 < self.steps_per_epoch:
            if self.keep is not None:
                self.keep.checkpoint(self.epoch * self.steps_per_epoch + batch + 1)
            self.stop(self.signals.received)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stop here, too: the signal may have come while the epoch was measured.

        Raises:
            Stopped: There was a signal.
        """
        if self.signals.received is not None:
            self.stop(self.signals.received)

    def stop(self, number: int) -> None:
        """Raise, with the command that goes on and the number of the signal."""
        raise Stopped(f"stopped; go on with: ssah train --resume {self.run.folder}", number)


class HardSampleAlbum(keras.callbacks.Callback):
    """Hard samples of the same few images after every joint epoch, in `hard_samples.npz`."""

    #: Images in the album, as many classes as there are.
    COUNT = 8

    def __init__(self, run: Run, images: ImageSet):
        super().__init__()
        self.run = run
        labelled = images.positions(run.split.labelled)
        _, first = np.unique(images.labels[labelled].argmax(axis=1), return_index=True)
        self.originals = images.read(labelled[first][: self.COUNT], run.recipe.data.image_size)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the hard samples of this epoch; random ones are drawn anew for each."""
        if self.model.stage != "joint" or self.model.deformer is None:
            return
        draw = 0 if self.model.has_adversary else epoch
        hard = self.model.deformer.deform(self.originals, np.array([0, draw], np.int32))
        page = np.clip(np.rint(hard.numpy()), 0, 255).astype(np.uint8)[None]
        epochs, rho = np.array([epoch]), np.array([float(self.model.pace.rho.numpy())])
        if self.run.album_path.is_file():
            with np.load(self.run.album_path, allow_pickle=False) as album:
                before = album["epochs"] < epoch
                page = np.concatenate([album["hard"][before], page])
                epochs = np.concatenate([album["epochs"][before], epochs])
                rho = np.concatenate([album["rho"][before], rho])
        with atomic_path(self.run.album_path) as path:
            np.savez_compressed(path, originals=self.originals, hard=page, epochs=epochs, rho=rho)
