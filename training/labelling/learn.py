"""Rounds of labelling: what the labels teach, how well, and which photos to label next."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.labels import sparse_zeros
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.training.auto import resolve
from ssah_tf.training.bars import Bars
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.features import sample_of
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.label_propagation import class_posterior, folds_of
from ssah_tf.training.labelling.groups import groups_of
from ssah_tf.training.labelling.suggest import features_of_photos, points_of, suggest
from ssah_tf.training.recipe import load_recipe

#: Classes that are named as weak, and the queries that one needs to be named.
WEAK, FEW = 5, 2
#: Epochs of a training: 10,000 photos take less than 30 s on 2 cores.
EPOCHS = 10

#: Position of a photo -> its classes, of the labelled ones.
Known = Mapping[int, tuple[str, ...]]


class Rounds:
    """Rounds of labelling some photos; features and points are computed once.

    Args:
        images: The photos; their labels are not looked at.
        store: Where features are kept.
        overrides: What is changed in the recipe.
        bars: Show how far it is.
    """

    def __init__(
        self, images: ImageSet, store: FeatureStore, overrides: tuple[str, ...], bars: Bars
    ):
        self.images = images
        self.overrides = overrides
        self.bars = bars
        self.features = features_of_photos(images, store, overrides)
        self.points = points_of(self.features)
        self.believed: dict[int, str] = {}

    def suggest(self, known: Known, passed: tuple[int, ...], count: int) -> list[list[int]]:
        """Photos to label next, alike ones together.

        Args:
            known: The labels.
            passed: Positions of photos that are not wanted, nor photos like them.
            count: How many, at most.
        """
        with self.bars("choosing photos"):
            labels, _ = self.rows(known)
            unwanted = np.array(passed, np.int64)
            found = suggest(self.features, labels, self.images.digests, count, unwanted)
            return groups_of(self.points[found], found)

    def learn(self, known: Known) -> dict[str, Any]:
        """Train the hash layer on part of the labels, and measure it with the others.

        Of each class with two photos or more a third is held out, by their content, so that rounds
        are measured with much the same photos.

        Returns:
            `labelled`, `classes`, `queries`: how many; `map` of the queries against the labelled
            photos that were not held out, tie-aware, with its 95 % interval `low`, `high`, `None`
            without queries; `weak`: the classes of the lowest, with their `map`; `changed`: photos
            without a label that are believed to be of another class than in the round before,
            `None` in the first; `seconds`.
        """
        began = time.monotonic()
        labels, classes = self.rows(known)
        digests = self.images.digests
        order = np.array(sorted(known, key=lambda position: digests[position]), np.int64)
        folds = folds_of(labels[order], np.arange(len(order)))
        held = order[folds[0]] if folds else order[:0]
        taught = np.setdiff1d(order, held)
        rest = sample_of(np.setdiff1d(np.arange(len(labels)), order))
        hnet = self.train(labels, classes, taught, rest)
        measured: dict[str, Any] = dict.fromkeys(("map", "low", "high"))
        measured |= {"labelled": len(order), "classes": len(classes), "queries": len(held)}
        measured["weak"] = []
        if len(held):
            measured |= self.measure(hnet, labels, classes, held, taught)
        with self.bars("what has changed"):
            measured["changed"] = self.changed(labels, classes, order, rest)
        return measured | {"seconds": round(time.monotonic() - began, 1)}

    def train(
        self, labels: np.ndarray, classes: tuple[str, ...], taught: np.ndarray, rest: np.ndarray
    ) -> HNet:
        """A hash layer for features, of photos with a label and without one."""
        images = replace(self.images, labels=labels, classes=classes)
        recipe = resolve(load_recipe("frozen", self.overrides), images)
        recipe = recipe.model_copy(
            update={"train": recipe.train.model_copy(update={"joint": EPOCHS})}
        )
        keras.utils.set_random_seed(recipe.seed)
        hnet = HNet(CachedFeatures(self.features.shape[1]), recipe.model.bits)
        hnet.build((None, self.features.shape[1]))
        steps = EPOCHS * recipe.train.steps_per_epoch
        with self.bars("training") as bar:
            chosen = self.features[np.concatenate([taught, rest])]
            train_on_features(hnet, recipe, chosen, labels[taught], (Told(bar, steps),))
        return hnet

    def measure(
        self,
        hnet: HNet,
        labels: np.ndarray,
        classes: tuple[str, ...],
        held: np.ndarray,
        taught: np.ndarray,
    ) -> dict[str, Any]:
        """How well photos that were held out find those of their class among the others."""
        codes = [
            np.packbits(np.asarray(hnet.code_logits(self.features[part])) >= 0, axis=1)
            for part in (held, taught)
        ]
        result = evaluate_retrieval(
            codes[0], labels[held], codes[1], labels[taught], hnet.bits, cutoffs=()
        )
        assert result.map_interval is not None
        queries = labels[held].sum(axis=0).tolist()
        weak = [
            {"name": name, "map": round(score, 4), "queries": count}
            for name, score, count in zip(classes, result.map_per_class, queries, strict=True)
            if score is not None and count >= FEW
        ]
        low, high = result.map_interval
        return {
            "map": round(result.map_tie_aware, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "weak": sorted(weak, key=lambda each: each["map"])[:WEAK],
        }

    def changed(
        self, labels: np.ndarray, classes: tuple[str, ...], order: np.ndarray, rest: np.ndarray
    ) -> int | None:
        """How many photos are believed to be of another class than in the round before."""
        chosen = self.features[np.concatenate([order, rest])]
        likely = class_posterior(chosen, labels[order])[len(order) :].argmax(axis=1)
        now = {p: classes[i] for p, i in zip(rest.tolist(), likely.tolist(), strict=True)}
        before, self.believed = self.believed, now
        return sum(before.get(p, name) != name for p, name in now.items()) if before else None

    def rows(self, known: Known) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels as uint8 `(photos, classes)`, multi-hot, and the names of the classes."""
        classes = tuple(sorted({name for names in known.values() for name in names}))
        column = {name: i for i, name in enumerate(classes)}
        labels = sparse_zeros(len(self.images), len(classes))
        for position, names in known.items():
            labels[position, [column[name] for name in names]] = 1
        return labels, classes


class Told(keras.callbacks.Callback):
    """Tells somebody of each step of a training.

    Args:
        tell: Is told (steps done, all).
        steps: All.
    """

    def __init__(self, tell: Callable[[int, int], None], steps: int):
        super().__init__()
        self.tell = tell
        self.steps = steps
        self.done = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Tell."""
        self.done += 1
        self.tell(self.done, self.steps)
