"""From a recipe to the things it names: images, split, networks, game."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from ssah_tf.data import ImageSet, Loaded, Split, load_images
from ssah_tf.data.protocols import split_by_protocol
from ssah_tf.data.sampling import evenly
from ssah_tf.losses import SUPERVISED_LOSSES
from ssah_tf.models import SSAH, ANet, CompetencePace, HNet, RandomDeformation, SchedulePace
from ssah_tf.models.backbones import BACKBONES, first_weights, with_file
from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.deformation import Deformer
from ssah_tf.models.pace import Pace
from ssah_tf.models.precision import default_policy
from ssah_tf.models.pseudo_labels import PSEUDO_LABELS, PseudoLabels
from ssah_tf.models.strong_view import StrongView
from ssah_tf.system.errors import DataError, RecipeError
from ssah_tf.system.renamed import renamed_option
from ssah_tf.training.optimizers import LAYERWISE
from ssah_tf.training.recipe_sections import OptimizerSection, Recipe

#: Policy of Keras for each `train.precision`; weights are float32 in both.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
#: Images that a frozen backbone normalises by, if it begins by chance.
FEW = 32


def build_images(recipe: Recipe) -> Loaded:
    """The image set of a recipe, and what was left out of it.

    Raises:
        DataError: See `load_images`; or no image has a label, and the recipe learns from labels.
    """
    loaded = load_images(recipe.data.source, recipe.data.labels, recipe.data.exclude)
    if recipe.learns_from_labels and not loaded.images.classes:
        source, passed = recipe.data.source, loaded.passed.line()
        why = "; ".join([*loaded.notes, *([passed] if passed else [])])
        raise DataError(
            f"{source}: no image has a label, and the recipe {recipe.name} learns from labels"
            f"{f' ({why})' if why else ''}: name a file with --labels, or sort images into two or "
            f"more folders, {source}/<class>; `ssah suggest` says which to label first, and "
            "`ssah baseline` needs no labels"
        )
    return loaded


def build_split(recipe: Recipe, images: ImageSet) -> Split:
    """Draw the split of a recipe."""
    data = recipe.data
    return split_by_protocol(
        images,
        data.protocol,
        labelled_per_class=None if data.labelled_per_class == "all" else data.labelled_per_class,
        labelled_share=data.labelled_share,
        validation_per_class=data.validation_per_class,
        query_per_class=data.query_per_class,
        seed=recipe.seed,
    )


def build_game(
    recipe: Recipe, images: ImageSet, split: Split, kind: Callable[..., SSAH] = SSAH
) -> SSAH:
    """The networks of a recipe with fresh weights, compiled; call it in the strategy's scope.

    Args:
        recipe: The recipe.
        images: Its images.
        split: Their parts.
        kind: Makes the game of the arguments of `SSAH`.

    Raises:
        RecipeError: A name or an option that is not there.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = recipe.data.image_size
    backbone = build_backbone(recipe, images, split)
    joint_steps = recipe.train.joint * recipe.train.steps_per_epoch
    game = assemble_game(
        recipe,
        HNet(backbone, recipe.model.bits),
        build_deformer(recipe, backbone.mean),
        build_pace(recipe, joint_steps),
        images.labels,
        kind,
        contrast=recipe.data.contrast,
        brightness=recipe.data.brightness,
        strong_view=build_strong_view(recipe),
    )
    try:
        game.build(((None, size, size, 3), (None, len(images.classes))))
    except ValueError as error:
        raise RecipeError(f"data.image_size, model.backbone: {error}") from None
    hnet_steps = recipe.train.steps_per_epoch * (recipe.train.hnet_warmup + recipe.train.joint)
    game.compile(
        build_optimizer(recipe.train.hnet, hnet_steps, lr_multipliers(game.hnet, recipe)),
        build_optimizer(recipe.train.anet, joint_steps),
    )
    return game


def assemble_game(
    recipe: Recipe,
    hnet: HNet,
    deformer: Deformer | None,
    pace: Pace,
    labels: np.ndarray,
    kind: Callable[..., SSAH] = SSAH,
    **of_images: Any,
) -> SSAH:
    """The game of some networks, with the losses and the seed of a recipe.

    Args:
        recipe: The recipe.
        hnet: H-Net.
        deformer: What makes hard samples, or `None`.
        pace: The self-paced policy.
        labels: uint8 `(n, classes)`, of the images that are trained on.
        kind: See `build_game`.
        **of_images: Arguments of `SSAH` that make sense for images alone.

    Raises:
        RecipeError: A name or an option that is not there.
    """
    joint_steps = recipe.train.joint * recipe.train.steps_per_epoch
    return kind(
        hnet,
        deformer,
        make("loss.supervised", SUPERVISED_LOSSES, recipe.loss.supervised, recipe.loss.options),
        pace,
        hard_weight=recipe.loss.hard,
        consistency_weight=recipe.loss.consistency,
        quantisation_weight=recipe.loss.quantisation,
        balance_weight=recipe.loss.balance,
        pseudo_labels=build_pseudo_labels(recipe, labels),
        ramp_steps=round(recipe.loss.ramp * joint_steps),
        update_every=recipe.adversary.update_every,
        seed=recipe.seed,
        **of_images,
    )


def build_backbone(recipe: Recipe, images: ImageSet, split: Split) -> Backbone:
    """The backbone of a recipe.

    One that begins by chance normalises by the training images; others bring what theirs were.

    Raises:
        RecipeError: A name or an option that is not there.
    """
    name, options = with_file(recipe.model.backbone, recipe.model.options)
    given = {}
    if name in BACKBONES and first_weights(name, options) == "none":
        mean, std = channel_statistics(images, split, recipe.data.image_size)
        given = {"mean": mean, "std": std}
    with default_policy(POLICIES[recipe.train.precision]):
        return make("model.backbone", BACKBONES, name, options, **given)


def build_hnet(recipe: Recipe, images: ImageSet, split: Split) -> HNet:
    """H-Net on the backbone of a recipe, built for images of its size.

    Raises:
        RecipeError: The backbone is not there, or does not take such images.
    """
    hnet, size = (
        HNet(build_backbone(recipe, images, split), recipe.model.bits),
        recipe.data.image_size,
    )
    try:
        hnet.build((None, size, size, 3))
    except ValueError as error:
        raise RecipeError(f"data.image_size, model.backbone: {error}") from None
    return hnet


def build_frozen(recipe: Recipe, images: ImageSet) -> HNet:
    """An H-Net of one bit, for the features of its backbone alone. See `build_hnet`.

    A backbone that begins by chance normalises by some of the images.
    """
    few = tuple(evenly(np.array(images.ids), FEW).tolist())
    return build_hnet(recipe.with_bits(1), images, Split((), (), few, (), (), recipe.seed, ""))


def channel_statistics(
    images: ImageSet, split: Split, size: int, sample: int = 2000
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over a sample of the training images."""
    chosen = evenly(images.positions(split.labelled + split.unlabelled), sample)
    pixels = images.read(chosen, size).reshape(-1, 3)
    mean = pixels.mean(axis=0, dtype=np.float64)
    std = pixels.std(axis=0, dtype=np.float64)
    return tuple(mean.tolist()), tuple(np.maximum(std, 1.0).tolist())


def build_deformer(recipe: Recipe, mean: tuple[float, ...]) -> Deformer | None:
    """A-Net, its random counterpart, or nothing."""
    adversary = recipe.adversary
    deforms = adversary.kind != "plain" and (adversary.occlusion or adversary.rotation)
    if adversary.kind == "none" or not (deforms or adversary.kind == "plain"):
        return None
    common: dict[str, Any] = {
        "image_size": recipe.data.image_size,
        "fill": mean,
        "occlusion": deforms and adversary.occlusion,
        "rotation": deforms and adversary.rotation,
        "area": adversary.area,
        "scales": tuple(adversary.scales),
        "max_angle": adversary.max_angle,
    }
    try:
        if adversary.kind != "learned":
            return RandomDeformation(**common)
        return ANet(
            width=adversary.width,
            angles=adversary.angles,
            score_scale=adversary.score_scale,
            **common,
        )
    except ValueError as error:
        raise RecipeError(f"adversary: {error}") from None


def build_strong_view(recipe: Recipe) -> StrongView | None:
    """RandAugment over the hard samples, if the recipe asks for it."""
    strength = recipe.adversary.rand_augment
    return StrongView(strength, seed=recipe.seed) if strength else None


def build_pseudo_labels(recipe: Recipe, labels: np.ndarray) -> PseudoLabels:
    """The pseudo-labels of a recipe.

    Raises:
        RecipeError: One class is to be chosen for images that may have several.
    """
    spec = recipe.pseudo_labels
    options: dict[str, Any] = {"align": spec.align}
    if spec.kind == "fixed":
        options["threshold"] = spec.threshold
    if spec.kind != "soft" and (labels.sum(axis=1) > 1).any():
        raise RecipeError(
            f"pseudo_labels.kind: {spec.kind} chooses one class an image, but some images "
            "have several: take soft"
        )
    return PSEUDO_LABELS[spec.kind](**options)


def build_pace(recipe: Recipe, joint_steps: int) -> Pace:
    """The self-paced policy."""
    pace = recipe.pace
    if pace.kind == "schedule":
        return SchedulePace(round(pace.rise * joint_steps), start=pace.start, end=pace.end)
    return CompetencePace(pace.increment, pace.mastery, pace.wait, start=pace.start, end=pace.end)


def lr_multipliers(hnet: HNet, recipe: Recipe) -> list[float] | None:
    """Multiplier of the learning rate for each weight of H-Net, or `None` if all are 1."""
    multiplier = recipe.train.hnet.backbone_lr_multiplier
    if multiplier == 1:
        return None
    of_backbone = {id(variable) for variable in hnet.backbone.trainable_variables}
    return [multiplier if id(v) in of_backbone else 1.0 for v in hnet.trainable_variables]


def build_optimizer(
    spec: OptimizerSection, steps: int, multipliers: list[float] | None = None
) -> keras.optimizers.Optimizer:
    """A Keras optimizer, its rate decaying over `steps` if the recipe says so.

    Args:
        spec: What the recipe says.
        steps: Steps of the training.
        multipliers: Multiplier of the rate for each variable, if they differ.
    """
    rate = spec.learning_rate
    if spec.cosine and steps:
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    common = {"learning_rate": rate, "weight_decay": spec.weight_decay or None}
    if spec.ema:
        common |= {"use_ema": True, "ema_momentum": spec.ema}
    if spec.name == "sgd":
        common |= {"momentum": 0.9, "nesterov": True}
    if multipliers is not None:
        return LAYERWISE[spec.name](lr_multipliers=multipliers, **common)
    plain = {
        "sgd": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
    }
    return plain[spec.name](**common)


def make(key: str, registry: Mapping[str, Any], name: str, options: dict, **given: Any) -> Any:
    """Make what a recipe names, with its options.

    Raises:
        RecipeError: The name is not in the registry, or an option does not fit.
    """
    if name not in registry:
        raise RecipeError(f"{key}: no {name!r}, choose from {', '.join(registry)}")
    known = set(inspect.signature(registry[name]).parameters) - {"kwargs"}
    for option in options:
        renamed = renamed_option(registry[name].__name__, option)
        if renamed:
            raise RecipeError(f"{key}: {renamed}")
        if option not in known:
            valid = ", ".join(sorted(known - set(given))) or "none"
            raise RecipeError(f"{key}: {name} has no option {option!r} (valid: {valid})")
    try:
        return registry[name](**options, **given)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{key}: {name}: {error}") from None
