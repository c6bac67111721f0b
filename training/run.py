"""The run folder: everything that a training leaves behind, and nothing else."""

import json
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ssah_tf.data import Split
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.lock import only_one
from ssah_tf.system.reading import parse_json
from ssah_tf.training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from ssah_tf.models import HNet

#: Checkpoints that are kept: the newest, and the one before it.
KEPT_CHECKPOINTS = 2
#: What there may be in a run folder before its recipe is: no training has begun in it.
KILLED_START = re.compile(r"checkpoints|split\.json|\.lock|\.\d+\.(split\.json|recipe\.yaml)")
#: Key of the history under which images are counted that a training went on without.
LOST = "images_missing"
#: Names of files that `atomic_path` has not put into their place.
HALF_WRITTEN = re.compile(r"\.\d+\..+")


@dataclass(frozen=True)
class Run:
    """A run folder.

    Holds `recipe.yaml`, `split.json`, `history.json`, `checkpoints/`, `model.keras` (the selected
    encoder), `metrics.json`, `codes.npz` (of queries and database), `report.html`,
    `hard_samples.png` (made from `hard_samples.npz`), `sample.npz` (pixels of some images),
    `validation.json` and `tensorboard/`; after self-training also `pseudo_labels.csv`. Where one of
    several recipes was chosen, also `choice.json`, and the other runs in `candidates/`.

    Recipe and split are read once: they do not change after the start of a run, but for
    `take_bits`.

    Attributes:
        folder: Where all that lies.
        missing: Images of the split that are not there any more; see `ssah_tf.training.photos`.
    """

    folder: Path
    missing: frozenset[str] = frozenset()

    @classmethod
    def create(cls, folder: Path) -> "Run":
        """Make an empty run folder, or take one whose start was killed before it had a recipe.

        Raises:
            RunError: The folder holds something already, or cannot be made.
        """
        run = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            begun = any(not KILLED_START.fullmatch(path.name) for path in folder.iterdir())
            if begun or run.checkpoints():
                raise RunError(
                    f"{folder} is not empty: go on with --resume {folder}, or name another --output"
                )
            (folder / "checkpoints").mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made ({error.strerror})") from None
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open an existing run folder.

        Raises:
            RunError: It is not a run folder.
        """
        run = cls(folder)
        if run.choice_path.is_file() and not run.recipe_path.is_file():
            raise RunError(
                f"{folder}: nothing is chosen yet; go on with `ssah train --resume {folder}`"
            )
        for path in (run.recipe_path, run.split_path):
            if not path.is_file():
                raise RunError(
                    f"{folder}: not a run folder ({path.name} is missing); if it was killed before "
                    "its training began, give the first command again"
                )
        return run

    def alone(self) -> AbstractContextManager:
        """Keep other processes from training this run while a block runs. See `only_one`."""
        return only_one(self.folder / ".lock", self.folder)

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.folder / "recipe.yaml"

    @property
    def split_path(self) -> Path:
        """Which image played which part."""
        return self.folder / "split.json"

    @property
    def pseudo_labels_path(self) -> Path:
        """Labels that another run gave, as a label file. See `ssah_tf.training.self_training`."""
        return self.folder / "pseudo_labels.csv"

    @property
    def validation_path(self) -> Path:
        """Average precision of each validation image, as the selected encoder has it."""
        return self.folder / "validation.json"

    @property
    def choice_path(self) -> Path:
        """Which recipes were tried, and which was chosen. See `ssah_tf.training.choose`."""
        return self.folder / "choice.json"

    @property
    def model_path(self) -> Path:
        """The selected encoder, a Keras model from uint8 RGB to relaxed codes."""
        return self.folder / "model.keras"

    @property
    def metrics_path(self) -> Path:
        """What `evaluate` measured."""
        return self.folder / "metrics.json"

    @property
    def codes_path(self) -> Path:
        """Packed codes of the queries and of the database, in the order of the split."""
        return self.folder / "codes.npz"

    @property
    def complete_metrics_path(self) -> Path:
        """`metrics_path` of all images, if an evaluation without some of them came after it."""
        return self.folder / "metrics-complete.json"

    @property
    def complete_codes_path(self) -> Path:
        """`codes_path` of all images. See `complete_metrics_path`."""
        return self.folder / "codes-complete.npz"

    @property
    def sample_path(self) -> Path:
        """Pixels of some images. See `ssah_tf.training.sample`."""
        return self.folder / "sample.npz"

    @property
    def report_path(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"

    @property
    def history_path(self) -> Path:
        """One entry an epoch."""
        return self.folder / "history.json"

    @property
    def album_path(self) -> Path:
        """Hard samples of the same few images after every joint epoch."""
        return self.folder / "hard_samples.npz"

    @property
    def has_adversary(self) -> bool:
        """Whether A-Net was trained, as its history says."""
        return any("adversary" in epoch for epoch in self.history)

    @property
    def picture_path(self) -> Path:
        """Hard samples beside their originals."""
        return self.folder / "hard_samples.png"

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the run.

        Raises:
            RecipeError: It is missing, damaged or of another version.
        """
        return load_recipe(self.recipe_path)

    def take_bits(self, bits: int) -> None:
        """Write another code length into the recipe: see `training.hash_layer.bits`."""
        self.recipe.with_bits(bits).save(self.recipe_path)
        del self.__dict__["recipe"]  # it is read again

    @cached_property
    def whole_split(self) -> Split:
        """The split of the run, as it was drawn.

        Raises:
            DataError: It is missing or damaged.
        """
        return Split.load(self.split_path)

    @cached_property
    def split(self) -> Split:
        """The split without the images that are missing.

        Raises:
            DataError: See `whole_split`.
        """
        return self.whole_split.without(self.missing)

    @property
    def evaluated_split(self) -> Split:
        """The split without the images that the last evaluation had to do without.

        Raises:
            SsahError: There was none, or a file is damaged.
        """
        return self.whole_split.without(set(self.metrics().get("missing", ())))

    def encoder(self) -> "HNet":
        """The selected encoder.

        Raises:
            RunError: The training has not come so far, or the file is damaged.
        """
        from ssah_tf.models.saved import load_hnet  # TensorFlow: slow to import

        if not self.model_path.is_file():
            raise RunError(
                f"{self.model_path} is missing: finish the training with "
                f"`ssah train --resume {self.folder}`"
            )
        return load_hnet(self.model_path)

    def metrics(self) -> dict:
        """What `evaluate` measured. See `ssah_tf.training.evaluate`.

        Raises:
            RunError: It did not, or the file is damaged.
        """
        try:
            metrics = parse_json(self.metrics_path.read_bytes())
            if not {"retrieval", "codes", "classes", "average_precision"} <= set(metrics):
                raise ValueError("parts are missing")
            if not all(isinstance(name, str) for name in metrics.get("missing", ())):
                raise ValueError("missing images are no names")
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"{self.folder}: not evaluated yet, or damaged ({error}); run "
                f"`ssah evaluate {self.folder}`"
            ) from None
        return metrics

    @property
    def history(self) -> list[dict]:
        """The epochs so far, oldest first.

        Raises:
            RunError: The file is damaged.
        """
        if not self.history_path.is_file():
            return []
        try:
            history = parse_json(self.history_path.read_bytes())
        except ValueError as error:
            raise RunError(f"{self.history_path}: damaged ({error})") from None
        if not isinstance(history, list) or not all(isinstance(e, dict) for e in history):
            raise RunError(f"{self.history_path}: damaged (not a list of epochs)")
        return history

    def save_history(self, history: list[dict]) -> None:
        """Write the epochs so far."""
        write_atomically(self.history_path, json.dumps(history, indent=1).encode())

    def checkpoint_path(self, steps: int) -> Path:
        """Where the state after a number of steps lies."""
        return self.folder / "checkpoints" / f"step-{steps:07d}.weights.h5"

    def checkpoints(self) -> list[int]:
        """Numbers of steps at which there is a checkpoint, ascending."""
        found = (self.folder / "checkpoints").glob("step-*.weights.h5")
        numbers = (path.name.removeprefix("step-").removesuffix(".weights.h5") for path in found)
        return sorted(int(number) for number in numbers if number.isdecimal())

    def drop_old_checkpoints(self) -> None:
        """Remove all checkpoints but the newest ones."""
        for steps in self.checkpoints()[:-KEPT_CHECKPOINTS]:
            os.unlink(self.checkpoint_path(steps))

    def tidy(self) -> None:
        """Remove what killed processes left half-written or undropped; for who is `alone`."""
        for folder in (self.folder, self.folder / "checkpoints"):
            for path in folder.glob(".*"):
                if HALF_WRITTEN.fullmatch(path.name):
                    path.unlink(missing_ok=True)
        self.drop_old_checkpoints()


def new_run_folder(parent: Path, name: str) -> Path:
    """A folder that is not there yet: `parent/name`, `parent/name-2`, ..."""
    number = 1
    while (folder := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder
