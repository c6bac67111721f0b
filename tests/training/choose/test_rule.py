"""The rule on made-up paired results."""

import numpy as np
import pytest

from ssah_tf.training.choose.record import Result
from ssah_tf.training.choose.rule import choose, difference, enough_labels
from ssah_tf.training.choose.traits import Traits


def result(name, precision):
    precision = np.asarray(precision, float)
    return Result(
        name=name,
        share=1,
        seconds=1,
        validation_map=precision.mean(),
        validation_error=0.1,
        average_precision=precision.tolist(),
    )


def test_one_result_is_taken_whatever_it_is():
    assert choose([result("baseline", [0.0])], enough=True)[0] == "baseline"


def test_a_paired_difference_is_surer_than_two_means(rng):
    """Queries differ much, recipes by .05 on each: the better is taken, though errors overlap."""
    queries = rng.uniform(0, 1, 40)
    better = result("frozen", queries + 0.05 + rng.normal(0, 0.01, 40))
    worse = result("baseline", queries)
    ahead, error = difference(better, worse)
    assert ahead == pytest.approx(0.05, abs=0.01)
    assert error < 0.003
    assert choose([worse, better], enough=True)[0] == "frozen"


def test_the_error_is_that_of_the_mean_difference():
    ahead, error = difference(result("a", [0.5, 0.9]), result("b", [0.4, 0.4]))
    assert ahead == pytest.approx(0.3)  # 0.1 and 0.5: deviation 0.2 * sqrt(2), of two
    assert error == pytest.approx(0.2)


def test_ties_go_to_the_cheaper(rng):
    same = rng.uniform(0, 1, 30)
    name, why = choose(
        [result("baseline", same), result("frozen", same), result("folder", same)], enough=True
    )
    assert name == "baseline"
    assert why == "it has the best validation mAP, " + f"{same.mean():.3f}"


def test_noise_is_no_reason_to_pay(rng):
    """Ahead by far less than its error: the cheaper."""
    queries = rng.uniform(0, 1, 50)
    noise = rng.normal(0, 0.3, 50)
    noise += 0.005 - noise.mean()
    name, why = choose([result("frozen", queries), result("folder", queries + noise)], enough=True)
    assert name == "frozen"
    assert "folder is ahead by 0.005 ± 0.0" in why


def test_the_best_is_taken_if_the_cheaper_are_behind(rng):
    queries = rng.uniform(0.2, 0.4, 60)
    three = [result("baseline", queries), result("frozen", queries + 0.2)]
    three.append(result("folder", queries + 0.4 + rng.normal(0, 0.05, 60)))
    name, why = choose(three, enough=True)
    assert name == "folder"
    assert "best validation mAP" in why


def test_few_labels_go_by_what_is_best_for_few(rng):
    """Five images say nothing, unless one recipe is far ahead on each."""
    queries = rng.uniform(0.2, 0.4, 5)
    near = [result("baseline", queries + rng.normal(0, 0.1, 5)), result("frozen", queries)]
    assert choose(near, enough=False)[0] == "frozen"
    far = [result("baseline", queries), result("folder", queries + np.linspace(0.29, 0.31, 5))]
    assert choose(far, enough=False)[0] == "folder"
    assert choose([result("baseline", [0.9]), result("frozen", [0.1])], enough=False)[0] == "frozen"


@pytest.mark.parametrize(
    ("validation", "classes", "unmeasured", "enough"),
    [(20, 10, 1, True), (19, 10, 0, False), (100, 10, 2, False), (0, 10, 10, False)],
)
def test_enough_labels(validation, classes, unmeasured, enough):
    traits = Traits(500, 200, validation, 20, classes, unmeasured, 100, 0.1)
    assert enough_labels(traits) == enough
