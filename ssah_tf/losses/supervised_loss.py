"""The interface of a supervised loss, and the form that all pair losses share."""

import keras
import tensorflow as tf

from ssah_tf.losses.class_vote import class_vote
from ssah_tf.losses.global_batch import gather_batch
from ssah_tf.losses.pairs import balanced_mean, code_similarity, shares_label


class SupervisedLoss(keras.layers.Layer):
    """What labelled codes should look like; a layer, so that it may own weights.

    To add a loss, subclass this (or `PairLoss`), register it for saving, and name it in
    `ssah_tf.losses.SUPERVISED_LOSSES`; the game needs no change.

    Attributes:
        uses_support: Whether `posterior` looks at the codes of labelled images.
    """

    uses_support = True

    def build(self, anchors_shape, anchor_labels_shape, others_shape=None, other_labels_shape=None):
        """Create the weights of the loss, if it has any.

        Args:
            anchors_shape: `(batch, bits)`.
            anchor_labels_shape: `(batch, classes)`.
            others_shape: As `anchors_shape`.
            other_labels_shape: As `anchor_labels_shape`.
        """
        self.built = True

    def call(self, anchors, anchor_labels, others, other_labels):
        """Loss of this replica's anchors against the others of all replicas.

        Args:
            anchors: Relaxed codes u, float32 `(batch, bits)` in [-1, 1].
            anchor_labels: float32 `(batch, classes)`, multi-hot.
            others: Relaxed codes v, float32 `(batch, bits)`: of the same images, or of their hard
                samples.
            other_labels: float32 `(batch, classes)`.

        Returns:
            Scalar: this replica's share of the loss; the shares add up to the loss of the global
            batch.
        """
        raise NotImplementedError

    def posterior(self, codes, support, support_labels):
        """Posterior of codes over the classes: `class_vote`, unless a loss overrides it.

        Args:
            codes: Relaxed codes, float32 `(batch, bits)`.
            support: Relaxed codes of this replica's labelled images, float32 `(labelled, bits)`.
            support_labels: float32 `(labelled, classes)`, multi-hot.

        Returns:
            float32 `(batch, classes)`, rows sum to 1.
        """
        return class_vote(codes, support, support_labels)

    def losses_to(self, codes, targets, support, support_labels):
        """Loss of each code against a distribution over the classes: cross-entropy.

        Args:
            codes: Relaxed codes, float32 `(batch, bits)`.
            targets: float32 `(batch, classes)`, rows sum to 1.
            support: As for `posterior`; no gradient reaches it.
            support_labels: As for `posterior`.

        Returns:
            float32 `(batch,)`.
        """
        found = self.posterior(codes, tf.stop_gradient(support), support_labels)
        return -tf.reduce_sum(targets * tf.math.log(found + 1e-8), axis=1)


class PairLoss(SupervisedLoss):
    """Mean over the similar pairs plus mean over the dissimilar ones, halved.

    The two kinds are averaged separately, or else the few similar pairs would drown.
    """

    def similar(self, similarity):
        """Loss of a similar pair with code similarity u.v / K in [-1, 1]."""
        raise NotImplementedError

    def dissimilar(self, similarity):
        """Loss of a dissimilar pair with code similarity u.v / K in [-1, 1]."""
        raise NotImplementedError

    def call(self, anchors, anchor_labels, others, other_labels):
        """See `SupervisedLoss.call`."""
        same = shares_label(anchor_labels, gather_batch(other_labels))  # (b, B)
        similarity = code_similarity(anchors, gather_batch(others))  # (b, B)
        values = tf.where(same > 0, self.similar(similarity), self.dissimilar(similarity))
        return balanced_mean(values, same)
