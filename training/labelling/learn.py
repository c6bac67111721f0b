"""Rounds of labelling: what the labels teach, how well, and which photos to label next."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.label_round import Layout, Outcome, Task
from ssah_tf.data.labels import sparse_zeros
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.training.auto import ANY_SIDE, resolve
from ssah_tf.training.bars import Bars
from ssah_tf.training.hash_layer.bits import as_many_as_fit, most_bits
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.features import sample_of
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.label_propagation import folds_of, most_probable
from ssah_tf.training.labelling.forecast import forecast
from ssah_tf.training.labelling.groups import groups_of
from ssah_tf.training.labelling.layout import layout_of
from ssah_tf.training.labelling.photos import with_more
from ssah_tf.training.labelling.suggest import (
    Belief,
    choose,
    features_of_photos,
    points_of,
)
from ssah_tf.training.recipe import load_recipe

#: Classes that are named as weak, and the queries that one needs to be named.
WEAK, FEW = 5, 2
#: Epochs of a training: 10,000 photos take less than 30 s on 2 cores.
EPOCHS = 10

#: Position of a photo -> its classes, of the labelled ones.
Known = Mapping[int, tuple[str, ...]]
#: Class -> (position, probability) of photos that are believed to be of it, the surest first.
Believed = dict[str, list[tuple[int, float]]]
#: (path, digest) of photos that are new.
Added = Sequence[tuple[str, str]]


class Rounds:
    """Rounds of labelling some photos; features and points are computed once.

    Args:
        images: The photos; their labels are not looked at.
        store: Where features are kept.
        overrides: What is changed in the recipe.
        bars: Show how far it is.
        map_file: Where the map is kept; `None` if there is none, since its extra is missing.
        find_new: Gives photos that are new in the folder; see `new_photos`.
    """

    def __init__(
        self,
        images: ImageSet,
        store: FeatureStore,
        overrides: tuple[str, ...],
        bars: Bars,
        map_file: Path | None = None,
        find_new: Callable[[ImageSet], Added] = lambda images: (),
    ):
        self.images = images
        self.store = store
        self.find_new = find_new
        self.map_file = map_file
        self.looked = False
        self.overrides = overrides
        self.bars = bars
        self.features = features_of_photos(images, store, overrides)
        self.points = points_of(self.features)
        self.before: dict[int, list[str]] = {}

    def do(self, task: Task, count: int) -> Outcome:
        """Do a task.

        Args:
            task: The labels, and what is to be done.
            count: Photos to suggest, at most.

        Raises:
            RunError: The map cannot be kept.
        """
        self.take_new()
        known = len(self.images) if task.known is None else task.known
        added = (*zip(self.images.ids[known:], self.images.digests[known:], strict=True),)
        if task.lay_out:
            return Outcome(None, layout=self.layout(make=True), added=added)
        belief = self.belief(task.labels)
        believed = self.believe(belief, task.labels, task.rejected)
        measured = None
        if task.train:
            measured = self.learn(task.labels, task.rejected)
            measured["changed"] = self.changed(believed)
            measured["forecast"] = forecast([*task.measured, measured], len(self.images))
        groups = self.suggest(belief, task, count)
        return Outcome(groups, measured, believed, layout=self.layout(make=False), added=added)

    def take_new(self) -> None:
        """Take in photos that are new in the folder; those that are known keep their positions."""
        with self.bars("looking for new photos"):
            added = self.find_new(self.images)
        if added:
            images = with_more(self.images, added)
            features = features_of_photos(images, self.store, self.overrides)
            self.images, self.features, self.points = images, features, points_of(features)

    def layout(self, make: bool) -> Layout | None:
        """The map of all photos, see `layout_of`; one that is not to be made is looked for once."""
        if self.map_file is None or (self.looked and not make):
            return None
        self.looked = True
        with self.bars("drawing the map" if make else "looking for the map"):
            digests = self.images.digests
            return layout_of(self.features, self.points, digests, self.map_file, make)

    def belief(self, known: Known) -> Belief | None:
        """What label propagation says of the photos without a label; `None` if none has one."""
        if not known:
            return None
        with self.bars("what is believed of the others"):
            return Belief.of(self.features, self.rows(known)[0])

    def suggest(self, belief: Belief | None, task: Task, count: int) -> list[list[int]]:
        """Photos to label next, alike ones together.

        Args:
            belief: What is believed by the labels of the task.
            task: The labels, and which photos are not wanted.
            count: How many, at most.
        """
        with self.bars("choosing photos"):
            labels, digests = self.rows(task.labels)[0], self.images.digests
            passed, aside = (np.array(some, np.int64) for some in (task.passed, task.aside))
            found = choose(self.points, labels, digests, count, belief, passed, aside)
            return groups_of(self.points[found], found)

    def learn(self, known: Known, rejected: Known) -> dict[str, Any]:
        """Train the hash layer on part of the labels, and measure it with the others.

        Of each class with two photos or more a third is held out, by their content, so that rounds
        are measured with much the same photos.

        Args:
            known: The labels.
            rejected: Classes that photos are not of. These photos get no label by propagation.

        Returns:
            `labelled`, `classes`, `queries`: how many; `map` of the queries against the labelled
            photos that were not held out, tie-aware, with its 95 % interval `low`, `high`, `None`
            without queries; `weak`: the classes of the lowest, with their `map`; `seconds`.
        """
        began = time.monotonic()
        labels, classes = self.rows(known)
        digests = self.images.digests
        order = np.array(sorted(known, key=lambda position: digests[position]), np.int64)
        folds = folds_of(labels[order], np.arange(len(order)))
        held = order[folds[0]] if folds else order[:0]
        taught = np.setdiff1d(order, held)
        rest = np.setdiff1d(self.without_label(known), np.array([*rejected], np.int64))
        hnet = self.train(labels, classes, taught, rest)
        measured: dict[str, Any] = dict.fromkeys(("map", "low", "high"))
        measured |= {"labelled": len(order), "classes": len(classes), "queries": len(held)}
        measured["weak"] = []
        if len(held):
            measured |= self.measure(hnet, labels, classes, held, taught)
        return measured | {"seconds": round(time.monotonic() - began, 1)}

    def train(
        self, labels: np.ndarray, classes: tuple[str, ...], taught: np.ndarray, rest: np.ndarray
    ) -> HNet:
        """A hash layer for features, of photos with a label and without one."""
        images = replace(self.images, labels=labels, classes=classes)
        # no photo is opened: features are there
        recipe = resolve(load_recipe("frozen", (*self.overrides, ANY_SIDE)), images)
        recipe = recipe.model_copy(
            update={"train": recipe.train.model_copy(update={"joint": EPOCHS})}
        )
        keras.utils.set_random_seed(recipe.seed)
        positions = np.concatenate([taught, rest])
        chosen = self.features[positions]
        fitting = most_bits(self.images.digests[position] for position in positions)
        hnet = HNet(CachedFeatures(chosen.shape[1]), min(recipe.model.bits, fitting))
        hnet.build((None, chosen.shape[1]))
        steps = EPOCHS * recipe.train.steps_per_epoch
        with self.bars("training") as bar:

            def fit(hnet: HNet) -> None:
                train_on_features(hnet, recipe, chosen, labels[taught], (Told(bar, steps),))

            return as_many_as_fit(fit, hnet)[0]

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
            codes[0], labels[held], codes[1], labels[taught], hnet.bits, radius=0, cutoffs=()
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

    def believe(self, belief: Belief | None, known: Known, rejected: Known) -> Believed:
        """Of which classes photos without a label probably are.

        Args:
            belief: What is believed by the labels.
            known: The labels.
            rejected: Classes that photos are not of.

        Returns:
            For each class its photos; nothing if there are not two classes.
        """
        classes = self.rows(known)[1]
        if belief is None or len(classes) < 2 or not len(belief.rest):
            return {}
        rest, several = belief.rest, belief.several
        possible = np.ones(belief.posterior.shape, bool)
        for row, position in enumerate(rest.tolist()):
            for name in {*rejected.get(position, ())} & {*classes}:
                possible[row, classes.index(name)] = False
        posterior = belief.posterior * possible
        if not several:  # p(class | not the rejected ones)
            posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-12)
        likely = most_probable(posterior, several)[0] & possible
        found = {}
        for i, name in enumerate(classes):
            rows = np.flatnonzero(likely[:, i])
            rows = rows[np.argsort(-posterior[rows, i], kind="stable")]
            found[name] = [*zip(rest[rows].tolist(), posterior[rows, i].tolist(), strict=True)]
        return found

    def changed(self, believed: Believed) -> int | None:
        """How many photos are believed to be of other classes than after the training before.

        `None` after the first one.
        """
        now: dict[int, list[str]] = {}
        for name, found in believed.items():
            for position, _ in found:
                now.setdefault(position, []).append(name)
        before, self.before = self.before, now
        if not before:
            return None
        return sum(before.get(position, names) != names for position, names in now.items())

    def without_label(self, known: Known) -> np.ndarray:
        """Positions of photos without a label, ascending; spread evenly if there are very many."""
        labelled = np.array([*known], np.int64)
        return sample_of(np.setdiff1d(np.arange(len(self.images)), labelled))

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
