"""What a candidate costs on this machine, in seconds."""

from dataclasses import dataclass, field

from ssah_tf.data import Split
from ssah_tf.data.image_set import fits
from ssah_tf.training.batch_statistics import SAMPLE as RECALIBRATED
from ssah_tf.training.choose.candidates import shortened
from ssah_tf.training.choose.timing import FrozenTiming, GameTiming
from ssah_tf.training.recipe_sections import Recipe
from ssah_tf.training.with_labels import VALIDATION_DATABASE

#: Seconds of PCA and rotation for an image, and of loading and saving around a training.
ITQ, AROUND = 2e-4, 3.0
#: How often `frozen` trains: without and with the labels of the validation images.
TRAININGS = 2
#: Seconds of the report beside the encoding of queries and database.
REPORT = 15.0


@dataclass(frozen=True)
class Counts:
    """How many images there are in all, and that train, validate and are measured.

    Attributes:
        images: In all.
        known: With labels that train or validate.
        seen: Whose features are computed.
        validated: That are encoded in a validation.
        measured: Queries and database.
        unlabelled: Without a label.
        most: Of these, what a frozen backbone looks at, at most.
    """

    images: int
    known: int
    seen: int
    validated: int
    measured: int
    unlabelled: int
    most: int

    @classmethod
    def of(cls, split: Split, images: int, most: int) -> "Counts":
        """Count the parts of a split of so many images, with `most`."""
        known = len(split.labelled) + len(split.validation)
        return cls(
            images=images,
            known=known,
            seen=known + min(len(split.unlabelled), most),
            validated=len(split.validation) + min(len(split.labelled), VALIDATION_DATABASE),
            measured=len(split.query) + len(split.database),
            unlabelled=len(split.unlabelled),
            most=most,
        )


@dataclass(frozen=True)
class Costs:
    """Seconds by recipe, from short timings.

    Attributes:
        counts: Numbers of images.
        recipes: The whole recipe of each candidate, by name.
        timing: Of a frozen backbone and a hash layer.
        games: Of a training of the backbone, by name.
        missing: Images whose features are not kept, by side; by default those of all.
    """

    counts: Counts
    recipes: dict[str, Recipe]
    timing: FrozenTiming
    games: dict[str, GameTiming] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)

    def to_compute(self, size: int) -> int:
        """Images whose features are not kept."""
        return self.missing.get(size, self.counts.seen)

    def decoding(self, size: int, read: int) -> float:
        """Of decoding: of all images, if they are held in memory, else of some that are read."""
        budget = next(iter(self.recipes.values())).data.cache_mb
        held = fits(self.counts.images, size, budget)
        return self.timing.decode * (self.counts.images if held else read)

    def features(self, size: int) -> float:
        """Of the features of a frozen backbone, which its candidates share; kept ones are there."""
        each = self.timing.decode + self.timing.forward[size]
        return self.timing.start + self.to_compute(size) * each

    def seconds(self, name: str, size: int, share: float = 1.0) -> float:
        """Of a candidate, without the shared features."""
        if name in self.games:
            return self.training(name, size, share) + self.finish(name, size, share)
        steps = self.recipes[name].train
        fits = 0.0
        if steps.joint:
            train = shortened(self.recipes[name], share).train
            fits = TRAININGS * self.fit(train.joint * train.steps_per_epoch)
        return AROUND + ITQ * self.counts.seen + fits

    def at_least(self, name: str, share: float) -> float:
        """Of a training of the backbone that is not timed: its supervised steps alone, in which
        each image goes forward and, for twice the time, back."""
        train, size = shortened(self.recipes[name], share).train, min(self.timing.forward)
        of_image = self.timing.forward[size] * (self.recipes[name].data.image_size / size) ** 2
        steps = (train.hnet_warmup + train.joint) * train.steps_per_epoch
        return steps * train.batch * 3 * of_image

    def training(self, name: str, size: int, share: float) -> float:
        """Of the stages of a training of the backbone, with a validation after each epoch."""
        t, n = self.games[name].at(size), self.counts
        train = shortened(self.recipes[name], share).train
        epochs = {stage: getattr(train, stage) for stage in t.steps}
        steps = sum(epochs[stage] * train.steps_per_epoch * t.steps[stage] for stage in t.steps)
        validations = sum(epochs.values()) * n.validated * t.forward
        return AROUND + t.start + n.images * self.timing.decode + steps + validations

    def finish(self, name: str, size: int, share: float) -> float:
        """Of what comes after the last epoch: recalibration, and the hash layer anew."""
        t, n = self.games[name].at(size), self.counts
        train = shortened(self.recipes[name], share).train
        seconds = AROUND + min(n.known + n.unlabelled, RECALIBRATED) * 2 * t.forward
        if train.refit:
            steps = (train.joint or train.hnet_warmup) * train.steps_per_epoch
            seconds += n.seen * t.forward + self.fit(steps)
        return seconds

    def fit(self, steps: int) -> float:
        """Of a training of a hash layer on features."""
        return self.timing.fit + steps * self.timing.step + ITQ * self.counts.seen

    def evaluation(self, name: str, size: int) -> float:
        """Of the evaluation and the report of a candidate."""
        timing = self.games[name].at(size) if name in self.games else None
        forward = timing.forward if timing else self.timing.forward[size]
        n = self.counts
        return REPORT + self.decoding(size, n.measured) + n.measured * forward
