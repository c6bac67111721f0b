"""Recipes: YAML files that say everything about a training, checked before it starts."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ssah_tf.system.errors import RecipeError
from ssah_tf.system.renamed import KEYS, renamed_keys

#: Folder of the recipes that come with the product.
RECIPES = Path(__file__).parent / "recipes"

#: Further names of a built-in recipe, each with the overrides that it stands for.
ALIASES = {
    "cub200": ("fine_grained", ("name=cub200",)),
    "dogs120": ("fine_grained", ("name=dogs120", "data.validation_per_class=5")),
}

#: Levels of a YAML file that may be nested; a recipe has four.
MAX_DEPTH = 20

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Auto = Literal["auto"]  # found by `ssah_tf.training.auto` from the images


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Data(Section):
    """Which images, how they are split, how they are varied."""

    source: str | None = "fashion"  # the built-in set, keras:NAME, a folder; null: give --data
    labels: str | None = None  # label file of a folder; without one it holds class folders
    protocol: str = "n-per-class"  # see docs/data.md
    image_size: Annotated[int, Field(ge=28, le=512)] | Auto = 28
    labelled_per_class: Positive | Literal["all"] = 30  # validation included
    labelled_share: Annotated[float, Field(gt=0, le=1)] | None = None  # protocol fraction only
    validation_per_class: Positive = 5
    query_per_class: Positive = 10  # only if the source has no official queries
    flip: bool = True
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.08  # share of the side
    contrast: Share = 0.5  # in H-Net's training: pixels times 1 - contrast to 1 + contrast
    brightness: Share = 0.12  # then plus or minus up to this share of 255
    cache_mb: Annotated[int, Field(ge=0)] = 1024


class Model(Section):
    """H-Net."""

    backbone: str = "convnet"
    options: dict[str, Any] = {}  # further arguments of the backbone
    bits: Annotated[int, Field(ge=1, le=1024)] | Auto = 48
    # itq: the hash layer begins with PCA and rotation of the backbone's features, and class
    # targets with the mean codes of the classes; for pretrained backbones
    hash_layer: Literal["random", "itq"] = "random"


class Adversary(Section):
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
    rand_augment: Share = 0.0  # strength of RandAugment over the hard samples; 0 is off


class Pace(Section):
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


class Loss(Section):
    """H-Net's loss: the supervised one by name, and the weights of the other terms."""

    supervised: str = "orthohash"
    options: dict[str, Any] = {}  # further arguments of the supervised loss
    hard: Weight = 1.0
    consistency: Weight = 1.0
    quantisation: Weight = 0.1
    balance: Weight = 0.0
    ramp: Share = 1 / 3  # share of the joint steps in which the consistency rises to its weight


class PseudoLabels(Section):
    """What unlabelled images are taken for."""

    kind: Literal["soft", "fixed", "adaptive"] = "soft"
    threshold: Share = 0.95  # fixed only
    align: bool = False  # the distribution over the classes
    # share of the unlabelled images that get a label by their neighbourhood, one class each: with
    # train.cached_features for a second training, with self_train from the first step on
    label_propagation: Share = 0.0
    self_train: str | None = None  # run folder whose encoder says what lies near


class Optimizer(Section):
    """A Keras optimizer."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    weight_decay: Weight = 0.0
    cosine: bool = True  # decay to zero along half a cosine
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # moving average of the weights; 0 is off


class HNetOptimizer(Optimizer):
    """That of H-Net; the moving average is the encoder that is kept, and the teacher."""

    weight_decay: Weight = 0.005
    backbone_lr_multiplier: Annotated[float, Field(gt=0, le=1)] = 1.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99


class ANetOptimizer(Optimizer):
    """That of A-Net."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    cosine: bool = False


class Train(Section):
    """Batches, stages and optimizers."""

    batch: Positive | Auto = 64  # labelled images a step, over all devices
    ratio: Annotated[int, Field(ge=0)] = 1  # unlabelled images for each labelled one
    steps_per_epoch: Positive = 50
    hnet_warmup: Annotated[int, Field(ge=0)] = 4  # epochs
    anet_warmup: Annotated[int, Field(ge=0)] = 1
    joint: Annotated[int, Field(ge=0)] | Auto = 26
    # the backbone is frozen, and its features are computed once; adversary plain or none
    cached_features: bool = False
    refit: bool = True  # the hash layer anew at the end, with the labels of the validation images
    precision: Literal["float32", "bfloat16"] = "float32"  # of H-Net's backbone, while training
    hnet: HNetOptimizer = HNetOptimizer()
    anet: ANetOptimizer = ANetOptimizer()

    @model_validator(mode="after")
    def _some_training(self):
        if self.hnet_warmup == self.joint == 0:
            raise ValueError("train.hnet_warmup and train.joint are both 0: nothing to train")
        return self


class Recipe(Section):
    """Everything about a training."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data = Data()
    model: Model = Model()
    adversary: Adversary = Adversary()
    pace: Pace = Pace()
    loss: Loss = Loss()
    pseudo_labels: PseudoLabels = PseudoLabels()
    train: Train = Train()

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

    def save(self, path: Path) -> None:
        """Write the recipe with all its values as YAML."""
        from ssah_tf.system.files import write_atomically

        write_atomically(path, yaml.safe_dump(self.model_dump(), sort_keys=False).encode())


class Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, and a key that comes twice an error.

    Aliases are refused, since a page of them can stand for more values than fit into memory, and
    so is nesting much deeper than a recipe's.
    """

    depth = 0

    def compose_node(self, parent, index):
        """Build a node from the next events."""
        if self.check_event(yaml.AliasEvent) or self.depth > MAX_DEPTH:
            what = "nested too deeply" if self.depth > MAX_DEPTH else "aliases are not supported"
            raise yaml.composer.ComposerError(None, None, what, self.peek_event().start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        """Build a mapping; PyYAML alone would keep the last of two equal keys."""
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_recipe(name: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: Name of a built-in recipe or one of `ALIASES`, or path of a YAML file.
        overrides: `key.key=value` each, the value in YAML; they win over the file.

    Returns:
        The checked recipe.

    Raises:
        RecipeError: No such recipe, not YAML, an unknown key, a wrong type or value. One line.
    """
    path, of_name = find_recipe(name)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except Exception as error:  # on odd tags PyYAML raises almost anything
        raise RecipeError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a YAML mapping, not {type(values).__name__}")
    for override in (*of_name, *overrides):
        apply_override(values, override)
    renamed = renamed_keys(values)
    if renamed:
        raise RecipeError(f"{path}: {'; '.join(renamed)}")
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error)}") from None


def find_recipe(name: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Find a recipe.

    Args:
        name: Name of a built-in recipe or one of `ALIASES`, or path of a YAML file.

    Returns:
        Path of its file, and the overrides that a name of `ALIASES` stands for.

    Raises:
        RecipeError: There is none.
    """
    file_name, overrides = ALIASES.get(str(name), (name, ()))
    built_in = RECIPES / f"{file_name}.yaml"
    try:
        if "/" not in str(name) and built_in.is_file():
            return built_in, overrides
        if Path(name).is_file():
            return Path(name), ()
    except OSError:
        pass  # no file can have such a name
    names = ", ".join(sorted({*ALIASES, *(path.stem for path in RECIPES.glob("*.yaml"))}))
    raise RecipeError(f"no recipe {str(name)!r}: built in are {names}, or give a YAML file")


def apply_override(values: dict, override: str) -> None:
    """Set one `key.key=value` in nested mappings."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: expected key=value, for example --set model.bits=64")
    if key in KEYS:
        raise RecipeError(f"--set {override}: {key} is now called {KEYS[key]}")
    try:
        value = yaml.load(text, Loader)
    except Exception:  # on odd tags PyYAML raises almost anything
        raise RecipeError(f"--set {override}: {text!r} is not a YAML value") from None
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: {parent!r} is not a section")
    values[last] = value


def explain(error: ValidationError) -> str:
    """The first complaint of pydantic as one line; for an unknown key, the nearest valid one."""
    first, *others = error.errors()
    place = [str(part) for part in first["loc"]] or ["recipe"]
    choice = ""
    if place[-1] == "constrained-int":  # pydantic adds the member of the union: a number or a word
        place.pop()
        here = [e for e in others if e["loc"][:-1] == first["loc"][:-1]]
        words = [e["ctx"]["expected"] for e in here if e["type"] == "literal_error"]
        choice = "".join(f", or {word}" for word in words)
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        valid = list(section_at(place[:-1]).model_fields)
        near = difflib.get_close_matches(place[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(valid)}"
        return f"unknown key {key!r}; {hint}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    shortened = repr(first["input"])[:200]
    return f"{key}: {first['msg'].lower()}{choice}, received {shortened}"


def section_at(place: list[str]) -> type[Section]:
    """The section that holds a key."""
    section: type[Section] = Recipe
    for name in place:
        annotation = section.model_fields[name].annotation
        candidates = [annotation, *get_args(annotation)]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return section
