"""SSAH: the min-max game between A-Net, which makes hard samples, and H-Net, which hashes them."""

from contextlib import contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

from ssah_tf.losses import (
    adversarial_loss,
    bit_balance_loss,
    consistency_loss,
    own_pair_adversarial_loss,
    quantisation_loss,
)
from ssah_tf.losses.global_batch import replica_count, sum_over_replicas
from ssah_tf.losses.supervised_loss import SupervisedLoss
from ssah_tf.models.brightness_contrast import random_brightness_contrast
from ssah_tf.models.deformation import Deformer
from ssah_tf.models.hnet import HNet
from ssah_tf.models.pace import Pace
from ssah_tf.models.pseudo_labels import PseudoLabels
from ssah_tf.models.staged_model import StagedModel
from ssah_tf.models.strong_view import StrongView


class TeacherCodes(NamedTuple):
    """Codes by the moving average of H-Net's weights.

    Attributes:
        labelled: float32 `(batch, bits)`; no row if the posterior of the loss does not ask.
        unlabelled: float32 `(batch * (columns - 1), bits)`.
    """

    labelled: tf.Tensor
    unlabelled: tf.Tensor


@keras.saving.register_keras_serializable(package="ssah_tf")
class SSAH(StagedModel):
    """H-Net and its adversary, with the two steps of the game in `train_step`.

    Step 1 updates A-Net against a frozen H-Net in inference mode, so that the codes of its hard
    samples become contrary to their labels, as far as rho allows. Step 2 updates H-Net on the
    labelled images and on all hard samples, so that the codes are right all the same. In the joint
    stage only every `update_every`-th step has a step 1; A-Net deforms in the others, too:

        L = L_S(u, u) + hard [L_S(u^, u^) + L_S(u, u^)] / 2 + consistency L_C
            + quantisation L_Q + balance L_B

    Hard samples are constants in step 2. Images without a label take part in the joint stage: in
    the adversary's own pairs, and in the consistency, whose teacher is the moving average of
    H-Net's weights and gives them pseudo-labels.

    Args:
        hnet: The hashing network.
        deformer: A-Net, `RandomDeformation` for the control, or `None` for supervised only.
        supervised_loss: L_S.
        pace: The self-paced policy that gives rho.
        hard_weight: Weight of the supervised loss on hard samples.
        consistency_weight: Weight of the consistency, reached after `ramp_steps` joint steps.
        quantisation_weight: Weight of the quantisation.
        balance_weight: Weight of the bit balance.
        contrast: The images that H-Net is trained on are multiplied by 1 - contrast to
            1 + contrast, one factor an image. The teacher and A-Net see the image as it is.
        brightness: Then up to this share of 255 is added or subtracted.
        pseudo_labels: Targets of unlabelled images; by default the teacher's posterior.
        strong_view: Augmentation of the hard samples before H-Net's step; none by default.
        ramp_steps: Joint steps in which the consistency rises from 0 to its weight.
        update_every: Joint steps from one update of A-Net to the next, 1 or more.
        seed: Seed of all randomness in the game.
    """

    STAGES = ("hnet_warmup", "anet_warmup", "joint")

    def __init__(
        self,
        hnet: HNet,
        deformer: Deformer | None,
        supervised_loss: SupervisedLoss,
        pace: Pace,
        *,
        hard_weight: float = 1.0,
        consistency_weight: float = 1.0,
        quantisation_weight: float = 0.1,
        balance_weight: float = 0.0,
        contrast: float = 0.0,
        brightness: float = 0.0,
        pseudo_labels: PseudoLabels | None = None,
        strong_view: StrongView | None = None,
        ramp_steps: int = 0,
        update_every: int = 1,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hnet = hnet
        self.deformer = deformer
        self.supervised_loss = supervised_loss
        self.pace = pace
        self.hard_weight = hard_weight
        self.consistency_weight = consistency_weight
        self.quantisation_weight = quantisation_weight
        self.balance_weight = balance_weight
        self.contrast = contrast
        self.brightness = brightness
        self.pseudo_labels = pseudo_labels or PseudoLabels()
        self.strong_view = strong_view
        self.ramp_steps = ramp_steps
        self.update_every = update_every
        self.seed = seed

    def build(self, input_shape):
        """Create all weights.

        Args:
            input_shape: Pair of shapes, `(batch, size, size, 3)` of images and
                `(batch, classes)` of labels.
        """
        images, labels = (tuple(shape) for shape in input_shape)
        self.shapes = [list(images), list(labels)]
        if not self.hnet.built:
            self.hnet.build(images)
        if not self.supervised_loss.built:
            self.supervised_loss.build((None, self.hnet.bits), labels)
        if not self.pseudo_labels.built:
            self.pseudo_labels.build(labels)
        if self.deformer is not None and not self.deformer.built:
            self.deformer.build(images)
        self.built = True

    def compile(self, hnet_optimizer, anet_optimizer=None):
        """Give each network its optimizer; call it after `build`, within the strategy's scope.

        Args:
            hnet_optimizer: Keras optimizer of H-Net.
            anet_optimizer: Keras optimizer of A-Net; not needed if nothing of it is learnt.
        """
        super().compile()
        self.hnet_optimizer = hnet_optimizer
        build_optimizer(hnet_optimizer, self.hnet.trainable_variables)
        self.anet_optimizer = anet_optimizer
        if self.has_adversary:
            build_optimizer(anet_optimizer, self.deformer.trainable_variables)

    @property
    def has_adversary(self) -> bool:
        """Whether the deformation is learnt."""
        return self.deformer is not None and bool(self.deformer.trainable_variables)

    def call(self, images, training=False):
        """Relaxed codes of images, `(batch, bits)`."""
        return self.hnet(images, training=training)

    def step_options(self, number: int) -> dict:
        """Whether a step updates A-Net."""
        if not self.has_adversary:
            return {}
        return {"update_anet": self.stage != "joint" or number % self.update_every == 0}

    def train_step(self, batch, update_anet=True):
        """One step of the present stage.

        Args:
            batch: `images` `(batch, 1 + ratio, size, size, 3)`, the first of each row labelled,
                and `labels` float32 `(batch, classes)`.
            update_anet: Whether A-Net, if there is one, is updated.

        Returns:
            The terms over the global batch, by name, and the rho that an adversary had.
        """
        labels = tf.cast(batch["labels"], self.compute_dtype)
        columns = batch["images"].shape[1]
        images = tf.cast(batch["images"], self.compute_dtype)
        images = tf.reshape(images, [-1, *images.shape[2:]])  # (B * columns, S, S, 3)
        step = tf.convert_to_tensor(self.hnet_optimizer.iterations)
        if self.stage == "anet_warmup":  # H-Net is not trained, so its own count does not rise
            step = -1 - tf.convert_to_tensor(self.anet_optimizer.iterations)
        seed = tf.stack([self.seed, tf.cast(step, tf.int32)])

        terms: dict[str, tf.Tensor] = {}
        hard = teacher_codes = None
        if self.stage != "hnet_warmup" and self.deformer is not None:
            teacher_codes = self.teacher_codes(images, columns)
            hard, terms = self.hard_samples(
                images, teacher_codes, labels, columns, seed, update_anet
            )
            hard = tf.stop_gradient(hard)
        if self.stage != "anet_warmup":
            terms |= self.hashing_step(images, hard, teacher_codes, labels, columns, seed)
        whole = tf.unstack(sum_over_replicas(tf.stack(list(terms.values()))))
        terms = dict(zip(terms, whole, strict=True))
        if self.has_adversary:
            terms["rho"] = tf.convert_to_tensor(self.pace.rho)
        if self.stage == "joint" and hard is not None:
            self.pace.step(terms["hard"])
        return terms

    def teacher(self, images):
        """Codes by the moving average of H-Net's weights, in inference mode, `(batch, bits)`.

        By the weights themselves if the optimizer keeps no average (`use_ema`).
        """
        if not self.hnet_optimizer.use_ema:
            return self.hnet(images, training=False)
        codes, _ = self.hnet.stateless_call(
            [v.value for v in self.hnet_optimizer._model_variables_moving_average],
            [v.value for v in self.hnet.non_trainable_variables],
            images,
            training=False,
        )
        return codes

    def teacher_codes(self, images: tf.Tensor, columns: int) -> TeacherCodes:
        """What the teacher is asked for of a batch, without a gradient."""
        if columns > 1 and self.supervised_loss.uses_support:
            codes = tf.stop_gradient(self.teacher(images))
            return TeacherCodes(labelled_rows(codes, columns), unlabelled_rows(codes, columns))
        codes = tf.zeros([0, self.hnet.bits])
        if columns > 1:
            codes = tf.stop_gradient(self.teacher(unlabelled_rows(images, columns)))
        return TeacherCodes(codes[:0], codes)

    def hard_samples(
        self,
        images: tf.Tensor,
        teacher_codes: TeacherCodes,
        labels: tf.Tensor,
        columns: int,
        seed: tf.Tensor,
        update_anet: bool = True,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Hard samples of all images; what is learnt of the deformation makes its step.

        Args:
            images: float32 `(batch * columns, size, size, 3)`.
            teacher_codes: The teacher's codes.
            labels: float32 `(batch, classes)`.
            columns: 1 + unlabelled images for each labelled one.
            seed: int32 `(2,)`, of the deformation.
            update_anet: See `train_step`.

        Returns:
            The hard samples, of the shape of `images`, and this replica's shares of terms, by name.
        """
        assert self.deformer is not None
        if not (self.has_adversary and update_anet):
            return self.deformer.deform(images, seed, training=True), {}
        hard, loss = self.adversary_step(images, teacher_codes, labels, columns, seed)
        return hard, {"adversary": loss}

    def hard_codes(self, hard: tf.Tensor) -> tf.Tensor:
        """H-Net's codes of hard samples as the adversary sees them, `(batch * columns, bits)`."""
        return self.hnet(hard, training=False)

    def training_codes(self, images: tf.Tensor, hard: tf.Tensor | None) -> tf.Tensor:
        """H-Net's codes of labelled images, then of hard samples, if any, as one batch.

        Returns:
            float32 `(batch, bits)`, or `(batch + batch * columns, bits)`.
        """
        seen = images if hard is None else tf.concat([images, hard], axis=0)
        return self.hnet(seen, training=True)

    def adversary_step(
        self,
        images: tf.Tensor,
        teacher_codes: TeacherCodes,
        labels: tf.Tensor,
        columns: int,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Step 1: make A-Net's hard samples harder for the present H-Net.

        Returns:
            The hard samples, `(batch * columns, size, size, 3)`, and this replica's share of the
            adversarial loss.
        """
        rho, deformer = tf.convert_to_tensor(self.pace.rho), self.deformer
        assert deformer is not None  # see `has_adversary`
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in deformer.trainable_variables])
            hard = deformer.deform(images, seed, training=True)
            u_hard = self.hard_codes(hard)
            loss = adversarial_loss(labelled_rows(u_hard, columns), labels, rho)
            if columns > 1:
                deformed = unlabelled_rows(u_hard, columns)
                loss += own_pair_adversarial_loss(teacher_codes.unlabelled, deformed, rho)
        variables = deformer.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.anet_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return hard, loss

    def hashing_step(
        self,
        images: tf.Tensor,
        hard: tf.Tensor | None,
        teacher_codes: TeacherCodes | None,
        labels: tf.Tensor,
        columns: int,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Step 2: update H-Net on labelled images and on the hard samples of all images.

        Args:
            images: float32 `(batch * columns, size, size, 3)`.
            hard: Their hard samples, or `None`: then the labelled images are all.
            teacher_codes: The teacher's codes, or `None`.
            labels: float32 `(batch, classes)`.
            columns: 1 + unlabelled images for each labelled one.
            seed: int32 `(2,)`, of contrast and brightness.

        Returns:
            This replica's shares of the terms, by name.
        """
        variables = self.hnet.trainable_variables
        with tf.GradientTape() as tape:
            loss, terms = self.hashing_loss(images, hard, teacher_codes, labels, columns, seed)
        gradients = tape.gradient(loss, [v.value for v in variables])
        self.hnet_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss, **terms}

    def hashing_loss(
        self,
        images: tf.Tensor,
        hard: tf.Tensor | None,
        teacher_codes: TeacherCodes | None,
        labels: tf.Tensor,
        columns: int,
        seed: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What step 2 minimises, and its terms by name: this replica's shares.

        Args:
            images: See `hashing_step`, as for the others.
            hard: Hard samples or `None`.
            teacher_codes: The teacher's codes or `None`.
            labels: Of the labelled images.
            columns: 1 + unlabelled images for each labelled one.
            seed: Of contrast and brightness.
        """
        terms = {}
        of_clean, of_hard = tf.unstack(tf.random.split(seed, 2))
        change = (self.contrast, self.brightness)
        clean = random_brightness_contrast(labelled_rows(images, columns), of_clean, *change)
        if hard is not None:
            if self.strong_view is not None:
                hard = self.strong_view(hard)
            hard = random_brightness_contrast(hard, of_hard, *change)
        codes = self.training_codes(clean, hard)
        batch = tf.shape(labels)[0]
        u, v = codes[:batch], codes[batch:]  # (B, K), (B * columns, K)
        terms["supervised"] = self.supervised_loss(u, labels, u, labels)
        terms["quantisation"] = quantisation_loss(codes)
        terms["balance"] = bit_balance_loss(codes)
        loss = terms["supervised"] + self.quantisation_weight * terms["quantisation"]
        loss += self.balance_weight * terms["balance"]
        if hard is not None:
            v_labelled = labelled_rows(v, columns)
            terms["hard"] = (
                self.supervised_loss(v_labelled, labels, v_labelled, labels)
                + self.supervised_loss(u, labels, v_labelled, labels)
            ) / 2
            loss += self.hard_weight * terms["hard"]
        if teacher_codes is not None and columns > 1:
            targets, trust = self.pseudo_labels(
                self.supervised_loss.posterior(
                    teacher_codes.unlabelled, teacher_codes.labelled, labels
                ),
                labels,
            )
            terms["trusted"] = tf.reduce_mean(trust) / replica_count()
            terms["consistency"] = consistency_loss(
                self.supervised_loss, unlabelled_rows(v, columns), u, targets, trust, labels
            )
            loss += self.consistency_weight * self.ramp() * terms["consistency"]
        return loss, terms

    def ramp(self):
        """Rise of the consistency weight, 0 to 1."""
        if not self.ramp_steps:
            return 1.0
        return tf.minimum(tf.convert_to_tensor(self.pace.done) / self.ramp_steps, 1.0)

    @contextmanager
    def averaged_weights(self):
        """H-Net with the moving average of its weights, if its optimizer keeps one (`use_ema`)."""
        optimizer = self.hnet_optimizer
        if not optimizer.use_ema or not optimizer.iterations.numpy():
            yield self.hnet
            return
        variables = self.hnet.trainable_variables
        current = [v.numpy() for v in variables]
        averages = [v.numpy() for v in optimizer._model_variables_moving_average]
        for variable, value in zip(variables, averages, strict=True):
            variable.assign(value)
        try:
            yield self.hnet
        finally:
            for variable, value in zip(variables, current, strict=True):
                variable.assign(value)

    def get_build_config(self):
        """What `build` was given, `None` before."""
        return {"input_shape": self.shapes} if self.built else None

    def build_from_config(self, config):
        """Build as `get_build_config` says."""
        self.build(config["input_shape"])

    def get_config(self):
        """Arguments that make an equal game."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "hnet": serialize(self.hnet),
            "deformer": None if self.deformer is None else serialize(self.deformer),
            "supervised_loss": serialize(self.supervised_loss),
            "pace": serialize(self.pace),
            "hard_weight": self.hard_weight,
            "consistency_weight": self.consistency_weight,
            "quantisation_weight": self.quantisation_weight,
            "balance_weight": self.balance_weight,
            "contrast": self.contrast,
            "brightness": self.brightness,
            "pseudo_labels": serialize(self.pseudo_labels),
            "strong_view": None if self.strong_view is None else serialize(self.strong_view),
            "ramp_steps": self.ramp_steps,
            "update_every": self.update_every,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        """Make a game from `get_config`."""
        parts = ("hnet", "deformer", "supervised_loss", "pace", "pseudo_labels", "strong_view")
        for part in parts:
            if config[part] is not None:
                config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)

    def get_compile_config(self):
        """Both optimizers, for `compile_from_config`; `None` before `compile`."""
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "hnet_optimizer": serialize(self.hnet_optimizer),
            "anet_optimizer": self.anet_optimizer and serialize(self.anet_optimizer),
        }

    def compile_from_config(self, config):
        """Compile as `get_compile_config` says."""
        self.compile(
            **{
                name: value and keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            }
        )


def build_optimizer(optimizer, variables) -> None:
    """Create an optimizer's state; scales and biases do not decay."""
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    optimizer.build(variables)


def labelled_rows(rows: tf.Tensor, columns: int) -> tf.Tensor:
    """The labelled images of a batch, `(batch * columns, ...) -> (batch, ...)`."""
    return rows[::columns]


def unlabelled_rows(rows: tf.Tensor, columns: int) -> tf.Tensor:
    """The others, `(batch * columns, ...) -> (batch * (columns - 1), ...)`."""
    grouped = tf.reshape(rows, [-1, columns, *rows.shape[1:]])
    return tf.reshape(grouped[:, 1:], [-1, *rows.shape[1:]])
