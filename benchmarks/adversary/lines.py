"""The rows of the second round on the adversary, each a recipe and a kind of game.

What they are and how they are compared is in `docs/notebook/adversary-2.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.losses.global_batch import random_gumbel, random_uniform, replica_count
from ssah_tf.models import SSAH, ANet, HNet, RandomDeformation
from ssah_tf.models.anet import standardised
from ssah_tf.models.batch_norm import BatchNorm
from ssah_tf.models.deformation import Deformer
from ssah_tf.models.game import unlabelled_rows
from ssah_tf.models.occlusion import cells_to_pixels, choose_cells, occlude
from ssah_tf.models.rotation import offsets, rotate, sampled

# ---- line 1: hard samples have a batch normalisation of their own


class TwoNorms(HNet):
    """H-Net with a second batch normalisation beside each of its own, for hard samples.

    The second ones have mean, variance, scale and shift of their own. What is saved is an H-Net
    with the first ones alone.
    """

    @classmethod
    def of(cls, hnet: HNet) -> "TwoNorms":
        """The same network, not built yet, with the first weights that it would have had."""
        other = cls(hnet.backbone, hnet.bits, name=hnet.name)
        other.hash_layer.kernel_initializer = hnet.hash_layer.kernel_initializer  # and its seed
        return other

    def norm_weights(self) -> list[keras.Variable]:
        """Weights of the first batch normalisations."""
        norms = [layer for layer in self._flatten_layers() if isinstance(layer, BatchNorm)]
        return [v for n in norms for v in (n.gamma, n.beta, n.moving_mean, n.moving_variance)]

    def build(self, input_shape):
        """Create the weights; the second batch normalisations begin as the first ones do."""
        super().build(input_shape)
        self.second = [
            self.add_weight(
                name=f"second_{number}_{v.name}",
                shape=v.shape,
                initializer="ones" if v.name in ("gamma", "moving_variance") else "zeros",
                trainable=v.trainable,
            )
            for number, v in enumerate(self.norm_weights())
        ]

    def hard_codes(self, hard: tf.Tensor, training: bool) -> tf.Tensor:
        """Codes by the second batch normalisations, `(batch, bits)`."""
        pairs = list(zip(self.norm_weights(), self.second, strict=True))
        with keras.StatelessScope([(first, second.value) for first, second in pairs]) as scope:
            codes = self(hard, training=training)
        for first, second in pairs:
            if training and not second.trainable:
                second.assign(scope.get_current_value(first))
        return codes

    def save(self, filepath, *args, **kwargs):
        """Save an H-Net that has the first batch normalisations alone."""
        plain = self.with_bits(self.bits)
        plain.hash_layer.set_weights(self.hash_layer.get_weights())
        plain.hash_norm.set_weights(self.hash_norm.get_weights())
        plain.save(filepath, *args, **kwargs)


class OwnStatistics(SSAH):
    """The game with `TwoNorms`: labelled images by the first ones, hard samples by the second.

    While H-Net is warmed up the second ones follow the first, so that A-Net's warm-up meets them.
    """

    def __init__(self, hnet: HNet, *args, **kwargs):
        super().__init__(TwoNorms.of(hnet), *args, **kwargs)

    def hard_codes(self, hard):
        """See `SSAH.hard_codes`."""
        return self.hnet.hard_codes(hard, training=False)

    def training_codes(self, images, hard):
        """See `SSAH.training_codes`; labelled images and hard samples are two batches."""
        codes = self.hnet(images, training=True)
        if hard is None:
            for first, second in zip(self.hnet.norm_weights(), self.hnet.second, strict=True):
                second.assign(first)
            return codes
        return tf.concat([codes, self.hnet.hard_codes(hard, training=True)], axis=0)


# ---- line 2: the hardest of several random deformations


class HardestOf(SSAH):
    """The game with one of several deformations of each image, chosen by the teacher's loss.

    Args:
        *args: Those of `SSAH`; the deformer is not learnt.
        tries: Deformations that are drawn of each image; one is `SSAH` itself.
        guard: Whether only those count that the teacher recognises, and rho is the quantile that is
            taken; otherwise it is the hardest of all.
        **kwargs: Those of `SSAH`.
    """

    def __init__(self, *args, tries: int = 4, guard: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.tries = tries
        self.guard = guard

    def hard_samples(self, images, teacher_codes, labels, columns, seed, update_anet=True):
        """See `SSAH.hard_samples`; `recognised` is the share of tries that the teacher knows."""
        seeds = [seed, *tf.unstack(tf.random.split(seed, self.tries))[1:]]
        looks = tf.stack([self.deformer.deform(images, s) for s in seeds], axis=1)
        posterior = partial(
            self.supervised_loss.posterior,
            support=teacher_codes.labelled,
            support_labels=labels,
        )
        codes = self.teacher(tf.reshape(looks, [-1, *images.shape[1:]]))  # (rows * tries, K)
        found = tf.reshape(posterior(codes), [-1, self.tries, labels.shape[1]])
        targets, allowed = classes_of(labels, posterior(teacher_codes.unlabelled))
        scores = -tf.reduce_sum(targets[:, None] * tf.math.log(found + 1e-8), axis=2)
        recognised = tf.gather(allowed, tf.argmax(found, axis=2), axis=1, batch_dims=1)
        rho = tf.convert_to_tensor(self.pace.rho) if self.guard else 1.0
        eligible = recognised if self.guard else tf.ones_like(recognised)
        chosen = quantile_of_eligible(scores, eligible, rho)
        share = tf.reduce_mean(tf.cast(recognised, scores.dtype)) / replica_count()
        return tf.gather(looks, chosen, axis=1, batch_dims=1), {"recognised": share}


def classes_of(labels: tf.Tensor, posterior: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What each image is: by its labels, or by the teacher.

    Args:
        labels: Of the labelled images, `(batch, classes)`.
        posterior: The teacher's of the others as they are, `(batch * (columns - 1), classes)`.

    Returns:
        Distributions over the classes, float `(batch * columns, classes)`, and which classes an
        image may be taken for, bool of the same shape.
    """
    share = labels / tf.maximum(tf.reduce_sum(labels, axis=1, keepdims=True), 1)
    best = tf.one_hot(tf.argmax(posterior, axis=1), labels.shape[1], on_value=True, off_value=False)

    def together(of_labelled, of_others):
        grouped = tf.reshape(of_others, [tf.shape(labels)[0], -1, labels.shape[1]])
        rows = tf.concat([of_labelled[:, None], grouped], axis=1)
        return tf.reshape(rows, [-1, labels.shape[1]])

    return together(share, posterior), together(labels > 0, best)


def quantile_of_eligible(scores: tf.Tensor, eligible: tf.Tensor, quantile) -> tf.Tensor:
    """Which try has a quantile of the scores among the eligible ones; without one, the lowest.

    Args:
        scores: float `(rows, tries)`.
        eligible: bool `(rows, tries)`.
        quantile: 0 for the lowest score, 1 for the highest.

    Returns:
        int32 `(rows,)`.
    """
    order = tf.argsort(
        tf.where(eligible, scores, scores + 100), axis=1
    )  # eligible ones first: -log(1e-8) < 19
    count = tf.maximum(tf.reduce_sum(tf.cast(eligible, scores.dtype), axis=1), 1)
    place = tf.cast(tf.round(quantile * (count - 1)), tf.int32)
    return tf.gather(order, place, axis=1, batch_dims=1)


# ---- line 3: a small perturbation of unlabelled images


class Perturbed(SSAH):
    """The game with a further term: unlabelled images keep their class under a perturbation.

    Args:
        *args: Those of `SSAH`.
        strength: Root mean square of the perturbation as a share of 255.
        virtual: Whether it is virtual adversarial; otherwise it is noise.
        **kwargs: Those of `SSAH`.
    """

    #: Root mean square in levels of the step by which the divergence is probed.
    PROBE = 1.0

    def __init__(self, *args, strength: float = 0.05, virtual: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength
        self.virtual = virtual

    def hashing_loss(self, images, hard, teacher_codes, labels, columns, seed):
        """See `SSAH.hashing_loss`; the term is `local`."""
        loss, terms = super().hashing_loss(images, hard, teacher_codes, labels, columns, seed)
        if hard is None or columns == 1:
            return loss, terms
        posterior = partial(
            self.supervised_loss.posterior,
            support=teacher_codes.labelled,
            support_labels=labels,
        )
        clean = unlabelled_rows(images, columns)
        moved = clean + self.perturbation(clean, posterior, tf.random.split(seed, 3)[2])
        targets = posterior(teacher_codes.unlabelled)
        found = posterior(self.hnet(moved, training=True))
        terms["local"] = tf.reduce_mean(divergence(targets, found)) / replica_count()
        return loss + self.consistency_weight * self.ramp() * terms["local"], terms

    def perturbation(self, images: tf.Tensor, posterior: Callable, seed: tf.Tensor) -> tf.Tensor:
        """What is added to images, of a root mean square of `strength` of 255 each.

        Args:
            images: float32 `(batch, size, size, 3)`.
            posterior: From codes to posteriors.
            seed: int32 `(2,)`.
        """
        direction = of_unit_size(tf.random.stateless_normal(tf.shape(images), seed))
        if self.virtual:
            of_image = tf.stop_gradient(posterior(self.hnet(images, training=False)))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(direction)
                found = posterior(self.hnet(images + self.PROBE * direction, training=False))
                total = tf.reduce_sum(divergence(of_image, found))
            direction = of_unit_size(tape.gradient(total, direction))
        return tf.stop_gradient(255 * self.strength * direction)


def divergence(targets: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of distributions from targets, `(batch, classes) -> (batch,)`."""
    logs = tf.math.log(targets + 1e-8) - tf.math.log(found + 1e-8)
    return tf.reduce_sum(targets * logs, axis=1)


def of_unit_size(changes: tf.Tensor) -> tf.Tensor:
    """Changes of images, each scaled to a root mean square of 1; zeros stay.

    In two steps, since squares of gradients may be too small for float32.
    """
    largest = tf.reduce_max(tf.abs(changes), axis=[1, 2, 3], keepdims=True)
    changes = tf.math.divide_no_nan(changes, largest)
    size = tf.sqrt(tf.reduce_mean(changes**2, axis=[1, 2, 3], keepdims=True))
    return tf.math.divide_no_nan(changes, size)


# ---- line 4: more to choose from

#: Least and greatest strength of what an image goes through, in this order.
STRENGTHS = {
    "angle": (-np.pi / 6, np.pi / 6),  # radians
    "shear": (-0.3, 0.3),
    "scale": (0.7, 1.3),
    "right": (-0.2, 0.2),  # shifts, as a share of the side
    "down": (-0.2, 0.2),
    "contrast": (0.5, 1.5),
    "brightness": (-0.25, 0.25),  # of 255
    "area": (1 / 6, 1 / 2),  # that is occluded
}
#: Ranges that each strength is chosen from.
RANGES = 8


class Operations(Deformer):
    """Deforms by all operations of `STRENGTHS`; a subclass says how strongly, in `scored`."""

    def scored(self, images: tf.Tensor, seed: tf.Tensor | None, training: bool):
        """Choose strengths, and give scores to cells; without a seed always the same ones.

        Returns:
            float `(batch, strengths)`, 0 to 1 from the least to the greatest, and a list with the
            scores of the cells of each of `grids`, `(batch, n * n)`; the highest are occluded.
        """
        raise NotImplementedError

    def chosen(self, images: tf.Tensor, seed: tf.Tensor | None, training: bool):
        """Strengths by name, float `(batch,)`, and marks of the cells, `(batch, n, n)` each."""
        shares, scores = self.scored(images, seed, training)
        strength = {
            name: low + (high - low) * shares[:, k]
            for k, (name, (low, high)) in enumerate(STRENGTHS.items())
        }
        area = 1 - (1 - strength["area"]) ** (1 / len(self.grids))  # see `Deformer`
        marks = [
            tf.reshape(highest_share(of_cells, area), [-1, n, n])
            for (_, n), of_cells in zip(self.grids, scores, strict=True)
        ]
        return strength, marks

    def choose(self, images, seed, training):
        """Marks and angles alone. See `Deformer.choose`."""
        strength, marks = self.chosen(images, seed, training)
        return marks, strength["angle"]

    def deform(self, images, seed=None, training=False):
        """See `Deformer.deform`."""
        images = tf.cast(images, self.compute_dtype)
        strength, marks = self.chosen(images, seed, training)
        fill = tf.constant(self.fill, images.dtype)
        images = placed(images, strength, fill)
        factor, added = (strength[name][:, None, None, None] for name in ("contrast", "brightness"))
        images = tf.clip_by_value(images * factor + 255 * added, 0, 255)
        visible = tf.ones_like(images[..., :1])
        for (cell, _), cells in zip(self.grids, marks, strict=True):
            visible *= 1 - cells_to_pixels(cells, cell, self.image_size)
        return occlude(images, 1 - visible, fill)


def placed(images: tf.Tensor, strength: dict[str, tf.Tensor], fill: tf.Tensor) -> tf.Tensor:
    """Images rotated, sheared, scaled and shifted in one sampling.

    A pixel at offset o from the centre is read at R(angle) [1, shear; 0, 1] o / scale - shift.
    """
    of = {name: value[:, None, None] for name, value in strength.items()}
    dx, dy = offsets(images)
    x, y = (dx + of["shear"] * dy) / of["scale"], (dy + 0 * dx) / of["scale"]
    cos, sin = tf.cos(of["angle"]), tf.sin(of["angle"])
    side = tf.cast(tf.shape(images)[1], images.dtype)
    return sampled(
        images,
        cos * x - sin * y - side * of["right"],
        sin * x + cos * y - side * of["down"],
        fill,
    )


def highest_share(scores: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Mark a share of the cells, those with the highest scores, with a straight-through gradient.

    As `choose_cells`, with a number of cells for each image. A larger share lowers the threshold,
    by the slope that quantiles of the standard normal law have where the density is a quarter.

    Args:
        scores: float `(batch, cells)`.
        share: float `(batch,)`; at least one cell is marked, and one is not.

    Returns:
        float `(batch, cells)` of zeros and ones.
    """
    cells = scores.shape[1]
    count = tf.clip_by_value(tf.cast(tf.round(share * cells), tf.int32), 1, cells - 1)
    order = tf.argsort(tf.stop_gradient(scores), axis=1, direction="DESCENDING")
    rank = tf.argsort(order, axis=1)
    hard = tf.cast(rank < count[:, None], scores.dtype)
    ordered = tf.gather(tf.stop_gradient(scores), order, axis=1, batch_dims=1)
    edges = [tf.gather(ordered, place, axis=1, batch_dims=1) for place in (count - 1, count)]
    threshold = (edges[0] + edges[1]) / 2 - 4 * (share - tf.stop_gradient(share))
    soft = tf.sigmoid(scores - threshold[:, None])
    return tf.stop_gradient(hard - soft) + soft


class RandomOperations(Operations, RandomDeformation):
    """Strengths uniform in their ranges, cells uniformly at random."""

    def scored(self, images, seed, training):
        """See `Operations.scored`."""
        batch = tf.shape(images)[0]
        seed = tf.zeros(2, tf.int32) if seed is None else seed
        seeds = tf.random.split(seed, 1 + len(self.grids))
        chosen = random_uniform(seeds[0], (batch, len(STRENGTHS)), dtype=images.dtype)
        cells = [
            random_uniform(seeds[1 + k], (batch, n * n), dtype=images.dtype)
            for k, (_, n) in enumerate(self.grids)
        ]
        return chosen, cells


class LearnedOperations(Operations, ANet):
    """A-Net that scores the ranges of all strengths, beside the cells."""

    def __init__(self, image_size: int, **kwargs):
        super().__init__(image_size, angles=RANGES * len(STRENGTHS), **kwargs)

    def scored(self, images, seed, training):
        """See `Operations.scored`."""
        of_cells, of_ranges = self.features(images, training=training)
        seeds = None if seed is None else tf.random.split(seed, 2 + len(self.grids))

        def noisy(scores, number):
            """Standardised, with noise if there is a seed."""
            scores = self.score_scale * standardised(scores)
            if seeds is None:
                return scores
            return scores + random_gumbel(seeds[number], (tf.shape(scores)[0], scores.shape[1]))

        picked = choose_cells(noisy(tf.reshape(of_ranges, [-1, RANGES]), 0), 1)
        first = tf.linalg.matvec(picked, tf.range(RANGES, dtype=images.dtype))
        within = 0.5  # of a range
        if seeds is not None:
            within = random_uniform(seeds[1], (tf.shape(first)[0],), dtype=images.dtype)
        cells = [
            noisy(tf.reshape(scores, [-1, n * n]), 2 + k)
            for k, (scores, (_, n)) in enumerate(zip(of_cells, self.grids, strict=True))
        ]
        return tf.reshape((first + within) / RANGES, [-1, len(STRENGTHS)]), cells


def with_operations(hnet: HNet, deformer: Deformer, *args, **kwargs) -> SSAH:
    """The game with all operations: A-Net's choice of them, if it has A-Net, or a random one."""
    common = {"image_size": deformer.image_size, "fill": deformer.fill, "max_angle": 30.0}
    if isinstance(deformer, ANet):
        operations: Deformer = LearnedOperations(width=deformer.width, **common)
    else:
        operations = RandomOperations(**common)
    return SSAH(hnet, operations, *args, **kwargs)


# ---- line 5: occlusion where the network looks


class AttentionGuided(SSAH):
    """The game with random angles, and with occlusion where H-Net's attention is highest.

    The attention is one channel of the maps of stride 16 (Hu et al., WS-DAN, arXiv 1901.09891),
    of an EfficientNet-Lite.
    """

    #: Stages of the backbone before the maps are taken.
    STAGES_BEFORE = 5

    def hard_samples(self, images, teacher_codes, labels, columns, seed, update_anet=True):
        """See `SSAH.hard_samples`."""
        _, angles = self.deformer.choose(images, seed, training=True)
        fill = tf.constant(self.deformer.fill, images.dtype)
        images = rotate(images, angles, fill)
        maps = self.attention(images, tf.random.split(seed, 5)[4])
        cell, n = self.deformer.grids[0]
        scores = tf.reshape(tf.image.resize(maps[..., None], (n, n)), [-1, n * n])
        marks = choose_cells(scores, round(self.deformer.area * n * n))
        cells = tf.reshape(marks, [-1, n, n])
        return occlude(images, cells_to_pixels(cells, cell, self.deformer.image_size), fill), {}

    def attention(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """One map of each image, `(batch, rows, columns)`, drawn by the root of its mean."""
        backbone = self.hnet.backbone
        x = (images - tf.constant(backbone.mean)) / tf.constant(backbone.std)
        x = backbone.stem(x, training=False)
        for stage in backbone.stages[: self.STAGES_BEFORE]:
            for block in stage:
                x = block(x, training=False)
        maps = tf.nn.relu(x)
        logits = tf.math.log(tf.reduce_mean(maps, axis=(1, 2)) + 1e-8) / 2
        shape = (tf.shape(images)[0], maps.shape[3])
        drawn = tf.argmax(logits + random_gumbel(seed, shape), axis=1)
        return tf.gather(maps, drawn, axis=3, batch_dims=1)


# ---- the rows


def paired(kind: Callable[..., SSAH]) -> Callable[..., SSAH]:
    """A kind of game whose H-Net begins with the same weights, whatever deforms the images.

    Some layers draw their weights when they are built, and how many numbers were drawn before
    depends on the deformer; so numbers are drawn anew for them.
    """

    def make(hnet: HNet, deformer: Deformer, *args, seed: int, **kwargs) -> SSAH:
        keras.utils.set_random_seed(seed)
        hnet.build((None, deformer.image_size, deformer.image_size, 3))
        return kind(hnet, deformer, *args, seed=seed, **kwargs)

    return make


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        line: Number of its line; "" for those that all lines are compared with.
        changes: Overrides of the recipe.
        kind: Makes the game; see `paired`.
        control: The row that it must be above, beside random deformation.
        as_long: Random deformation with as many joint epochs as take the same time.
    """

    line: str
    changes: tuple[str, ...] = ()
    kind: Callable[..., SSAH] = SSAH
    control: str | None = None
    as_long: str | None = None


#: The row that every other one is compared with.
CONTROL = "random"
RANDOM = ("adversary.kind=random",)
LEARNED = ("adversary.update_every=1",)
FREEMATCH = (
    "adversary.kind=plain",
    "adversary.rand_augment=0.5",
    "pseudo_labels.kind=adaptive",
    "pseudo_labels.align=true",
)
ROWS = {
    CONTROL: Row("", RANDOM),
    "learned": Row("", LEARNED),
    "freematch": Row("", FREEMATCH),
    "learned-8": Row("time", ("adversary.update_every=8",), SSAH, "learned", "random@30"),
    "random-own": Row("1", RANDOM, OwnStatistics),
    "learned-own": Row("1", LEARNED, OwnStatistics, "learned"),
    "hardest": Row(
        "2", (*RANDOM, "pace.start=0.5", "pace.end=1.0"), HardestOf, as_long="random@47"
    ),
    "maxup": Row("2", RANDOM, partial(HardestOf, guard=False), as_long="random@47"),
    "virtual": Row("3", RANDOM, Perturbed, "noise"),
    "noise": Row("3", RANDOM, partial(Perturbed, virtual=False)),
    "operations-learned": Row("4", LEARNED, with_operations, "operations-random"),
    "operations-random": Row("4", RANDOM, with_operations),
    "attended": Row("5", RANDOM, AttentionGuided, "learned"),
}
