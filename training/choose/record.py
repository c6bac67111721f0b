"""`choice.json` of a run folder: what was planned, what came of it, what was chosen."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.training.recipe_sections import Recipe
from ssah_tf.training.run import Run

Seconds = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A part of the record: no unknown keys."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Planned(Part):
    """A recipe that is to be tried."""

    name: str
    what: str  # in words
    why: str
    size: int  # side of the images in pixels
    share: Annotated[float, Field(gt=0, le=1)]  # of its whole length
    seconds: Seconds  # estimated, without the features that several share
    finish: Seconds = 0.0  # of those, after the last epoch
    recipe: Recipe


class LeftOut(Part):
    """A recipe that is not tried, or was given up."""

    name: str
    what: str
    why: str


class Result(Part):
    """What came of a recipe."""

    name: str
    share: float
    seconds: Seconds
    validation_map: float | None  # `None` where no image validates
    validation_error: float | None
    average_precision: list[float]  # of each validation image, in the order of the split
    note: str = ""


class Record(Part):
    """Everything about a choice.

    Attributes:
        budget: Seconds that were given.
        spent: Seconds that are gone, over all processes.
        features: Seconds for the features that several recipes share, estimated.
        feature_key: What names these features.
        to_compute: Images whose features are still to be computed.
        kept: Images whose features are there.
        evaluation: Seconds of the evaluation at the end, estimated; beside the budget.
        enough: Whether there are enough labels to choose by validation.
        planned: What is to be tried, the cheapest first.
        left_out: What is not.
        results: What came of those that are done.
        chosen: Name of the one that was chosen.
        why: The reason.
    """

    budget: Seconds
    spent: Seconds = 0.0
    features: Seconds = 0.0
    feature_key: str = ""
    to_compute: int = 0
    kept: int = 0
    evaluation: Seconds = 0.0
    enough: bool = True
    planned: list[Planned]
    left_out: list[LeftOut] = []
    results: list[Result] = []
    chosen: str | None = None
    why: str = ""

    def save(self, run: Run) -> None:
        """Write `choice.json`, whole or not at all."""
        write_atomically(run.choice_path, self.model_dump_json(indent=1).encode())

    def result(self, name: str) -> Result | None:
        """What came of a recipe; `None` if it is not done."""
        return next((result for result in self.results if result.name == name), None)

    def todo(self) -> list[Planned]:
        """What is planned, neither done nor given up, the cheapest first."""
        over = {result.name for result in self.results} | {part.name for part in self.left_out}
        return [planned for planned in self.planned if planned.name not in over]

    def give_up(self, planned: Planned, why: str) -> None:
        """Note that a recipe is not tried after all."""
        self.left_out.append(LeftOut(name=planned.name, what=planned.what, why=why))


def read_record(run: Run) -> Record | None:
    """The record of a run folder; `None` if nothing was chosen in it.

    Raises:
        RunError: It is damaged.
    """
    path: Path = run.choice_path
    if not path.is_file():
        return None
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise RunError(f"{path}: damaged ({first})") from None


def undecided(run: Run) -> Record | None:
    """The record of a run folder whose choice, or the evaluation after it, is not at its end."""
    record = read_record(run)
    return None if record is None or run.metrics_path.is_file() else record
