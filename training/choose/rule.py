"""Which of several recipes is taken: by the validation images, never by the queries."""

import numpy as np

from ssah_tf.training.choose.record import Result
from ssah_tf.training.choose.traits import Traits

#: Validation images, and the share of the classes that have some, below which nothing is chosen by
#: them alone.
FEW, COVERED = 20, 0.9
#: Standard errors of the paired difference by which a dearer recipe has to be better.
ERRORS = 0.5
#: What is taken where validation cannot say: the first that was tried.
PRIOR = ("frozen", "baseline", "folder", "pretrained")


def enough_labels(traits: Traits) -> bool:
    """Whether there are enough labels to choose by validation."""
    measured = traits.classes - traits.unmeasured
    return traits.validation >= FEW and measured >= COVERED * traits.classes


def choose(results: list[Result], enough: bool) -> tuple[str, str]:
    """Choose one of several results.

    The cheapest that is behind the best by no more than `ERRORS` standard errors of the difference,
    which is paired: for each validation image, the average precision of one less that of the other.
    With too few labels, the first of `PRIOR`, unless another is better by two standard errors.

    Args:
        results: The cheapest first.
        enough: Whether there are enough labels to choose by validation.

    Returns:
        Name of the one to take, and the reason in words.
    """
    if len(results) == 1:
        return results[0].name, "it was the only one"
    if not enough:
        return by_prior(results)
    best = max(results, key=lambda result: result.validation_map or 0.0)
    for result in results:
        behind, error = difference(best, result)
        if behind <= ERRORS * error:
            break
    if result is best:
        return best.name, f"it has the best validation mAP, {best.validation_map:.3f}"
    return result.name, (
        f"it is the cheapest within {ERRORS:g} standard errors of the best: {best.name} is ahead "
        f"by {behind:.3f} ± {error:.3f}"
    )


def by_prior(results: list[Result]) -> tuple[str, str]:
    """See `choose`."""
    first = min(results, key=lambda result: PRIOR.index(result.name))
    best = max(results, key=lambda result: result.validation_map or 0.0)
    ahead, error = difference(best, first)
    if ahead > 2 * error > 0:
        return best.name, (
            f"few labels validate, but it is ahead of {first.name} by {ahead:.3f} ± {error:.3f}"
        )
    return first.name, "too few labels validate to choose by; with few labels it is the best guess"


def difference(one: Result, other: Result) -> tuple[float, float]:
    """Mean of the paired differences by validation image, and its standard error."""
    each = np.subtract(one.average_precision, other.average_precision)
    if len(each) < 2:
        return float(each.mean()), float("inf") if each.any() else 0.0
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)
