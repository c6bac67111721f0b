"""The sections of a recipe: their keys, types and defaults."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ssah_tf.system.files import write_atomically

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
if TYPE_CHECKING:  # whoever reads a value of a run finds a number
    Auto = int
else:
    Auto = Literal["auto"]  # resolved by `ssah_tf.training.auto` from the images


#: Images without a label that a hash layer on features learns from, at most, if nobody says more.
MOST_UNLABELLED = 20_000


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """Which images, how they are split, how they are varied."""

    source: str | None = "fashion"  # the built-in set, keras:NAME, a folder; null: give --data
    labels: str | None = None  # label file of a folder; without one it holds class folders
    exclude: list[str] = []  # patterns of files and folders that are passed over; see docs/data.md
    protocol: str = "n-per-class"  # see docs/data.md
    image_size: Annotated[int, Field(ge=28, le=1024)] | Auto = 28
    labelled_per_class: Positive | Literal["all"] = 30  # validation included
    labelled_share: Annotated[float, Field(gt=0, le=1)] | None = None  # protocol fraction only
    validation_per_class: Positive = 5
    query_per_class: Positive = 10  # only if the source has no official queries
    flip: bool = True
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.08  # share of the side
    contrast: Share = 0.5  # in H-Net's training: pixels times 1 - contrast to 1 + contrast
    brightness: Share = 0.12  # then plus or minus up to this share of 255
    cache_mb: Annotated[int, Field(ge=0)] = 1024
    keep_sample: bool = True  # pixels of up to 256 images in the run, for exports without photos


class ModelSection(Section):
    """H-Net."""

    backbone: str = "convnet"  # or keras_hub:PRESET, onnx:FILE; see docs/backbones.md
    options: dict[str, Any] = {}  # further arguments of the backbone
    bits: Annotated[int, Field(ge=1, le=1024)] | Auto = 48
    # itq: the hash layer begins with PCA and rotation of the backbone's features, and class
    # targets with the mean codes of the classes; for pretrained backbones
    hash_layer: Literal["random", "itq"] = "random"


class AdversarySection(Section):
    """A-Net, or what stands in its place for an ablation."""

    # plain: no deformation, but a second view of every image; none: supervised only
    kind: Literal["learned", "random", "plain", "none"] = "learned"
    occlusion: bool = True
    rotation: bool = True
    area: Annotated[float, Field(gt=0, lt=1)] = 1 / 3
    scales: list[Literal[0, 1, 2]] = [0, 1, 2]
    max_angle: Annotated[float, Field(gt=0, le=180)] = 10.0  # degrees
    width: Positive = 16
    angles: Annotated[int, Field(ge=2)] = 8  # ranges that the angle is chosen from
    score_scale: Annotated[float, Field(gt=0)] = 1.0  # deviation of the scores of cells and angles
    update_every: Positive = 1  # joint steps from one update of A-Net to the next
    rand_augment: Share = 0.0  # strength of RandAugment over the hard samples; 0 is off


class PaceSection(Section):
    """The self-paced policy."""

    kind: Literal["schedule", "competence"] = "schedule"
    start: Share = 0.1
    end: Share = 0.5
    rise: Share = 0.6  # share of the joint steps in which a schedule rises
    increment: Share = 0.05  # of rho, competence only
    mastery: Share = 0.98
    wait: Positive = 20

    @model_validator(mode="after")
    def _rises(self):
        if self.start > self.end:
            raise ValueError(f"pace.start {self.start} is above pace.end {self.end}")
        return self


class LossSection(Section):
    """H-Net's loss: the supervised one by name, and the weights of the other terms."""

    supervised: str = "orthohash"
    options: dict[str, Any] = {}  # further arguments of the supervised loss
    hard: Weight = 1.0
    consistency: Weight = 1.0
    quantisation: Weight = 0.1
    balance: Weight = 0.0
    ramp: Share = 1 / 3  # share of the joint steps in which the consistency rises to its weight


class PseudoLabelsSection(Section):
    """What unlabelled images are taken for."""

    kind: Literal["soft", "fixed", "adaptive"] = "soft"
    threshold: Share = 0.95  # fixed only
    align: bool = False  # the distribution over the classes
    # an unlabelled image trains as if its most probable classes were known, if by the labelled ones
    # they are more probable than this: with train.cached_features, or self_train; 0 is off
    label_propagation: Share = 0.0
    self_train: str | None = None  # run folder whose encoder gives the features for that


class OptimizerSection(Section):
    """A Keras optimizer."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    weight_decay: Weight = 0.0
    cosine: bool = True  # decay to zero along half a cosine
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # moving average of the weights; 0 is off


class HNetOptimizerSection(OptimizerSection):
    """That of H-Net; the moving average is the encoder that is kept, and the teacher."""

    weight_decay: Weight = 0.005
    backbone_lr_multiplier: Annotated[float, Field(gt=0, le=1)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99


class ANetOptimizerSection(OptimizerSection):
    """That of A-Net."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    cosine: bool = False


class TrainSection(Section):
    """Batches, stages and optimizers."""

    batch: Positive | Auto = 64  # labelled images a step, over all devices
    ratio: Annotated[int, Field(ge=0)] = 1  # unlabelled images for each labelled one
    steps_per_epoch: Positive = 50
    hnet_warmup: Annotated[int, Field(ge=0)] = 4  # epochs
    anet_warmup: Annotated[int, Field(ge=0)] = 1
    joint: Annotated[int, Field(ge=0)] | Auto = 26
    # the backbone is frozen, and its features are computed once; adversary plain or none
    cached_features: bool = False
    most_unlabelled: Positive = (
        MOST_UNLABELLED  # that a hash layer on features learns from, evenly spread
    )
    refit: bool = True  # the hash layer anew at the end, with the labels of the validation images
    precision: Literal["float32", "bfloat16"] = "float32"  # of H-Net's backbone, while training
    hnet: HNetOptimizerSection = HNetOptimizerSection()
    anet: ANetOptimizerSection = ANetOptimizerSection()

    @model_validator(mode="after")
    def _some_training(self):
        if self.hnet_warmup == self.joint == 0:
            raise ValueError("train.hnet_warmup and train.joint are both 0: nothing to train")
        return self


class Recipe(Section):
    """Everything about a training."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    adversary: AdversarySection = AdversarySection()
    pace: PaceSection = PaceSection()
    loss: LossSection = LossSection()
    pseudo_labels: PseudoLabelsSection = PseudoLabelsSection()
    train: TrainSection = TrainSection()

    @model_validator(mode="after")
    def _features_are_enough(self):
        share, self_train = self.pseudo_labels.label_propagation, self.pseudo_labels.self_train
        if share and not (self.train.cached_features or self_train):
            raise ValueError(
                "pseudo_labels.label_propagation: needs the features of a frozen backbone; set "
                "train.cached_features, or pseudo_labels.self_train to a finished run"
            )
        if self_train and (self.train.cached_features or not share):
            raise ValueError(
                "pseudo_labels.self_train: needs pseudo_labels.label_propagation above 0, and a "
                "backbone that is trained; with train.cached_features labels are propagated "
                "without it"
            )
        if self.train.cached_features and self.adversary.kind not in ("plain", "none"):
            raise ValueError(
                "train.cached_features: features cannot be deformed; set adversary.kind to plain"
            )
        return self

    @property
    def learns_from_labels(self) -> bool:
        """Whether labels train the encoder, and do not only measure it."""
        return not self.train.cached_features or self.train.joint != 0

    def with_bits(self, bits: int) -> "Recipe":
        """The same with codes of another length."""
        return self.model_copy(update={"model": self.model.model_copy(update={"bits": bits})})

    def save(self, path: Path) -> None:
        """Write the recipe with all its values as YAML."""
        write_atomically(path, yaml.safe_dump(self.model_dump(), sort_keys=False).encode())

    def with_image_size(self, size: int) -> "Recipe":
        """The same with images of another side, in pixels."""
        return self.model_copy(update={"data": self.data.model_copy(update={"image_size": size})})
