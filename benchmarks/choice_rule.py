"""What rules of choosing between recipes lose, by the number of validation images: a calculation.

    python benchmarks/choice_rule.py [choice.json ...]

The true mAP of a dearer recipe is that of a cheaper one plus a normal difference. Validation sees
the mean of paired differences over so many images. A rule takes the cheaper unless it is behind by
more than some standard errors. Printed are the mean loss of mAP against the better one, and how
often more than .01 is lost, as Markdown. With files named, the deviations of the paired differences
in them are printed first; the deviation that is taken here is about theirs.
"""

import json
import sys

import numpy as np

#: Standard errors of each rule, validation images, deviation of a paired difference, and that of
#: the true differences: of good candidates some hundredths apart.
RULES, IMAGES, PAIRED, TRUE = (0.0, 0.5, 1.0, 2.0), (5, 20, 60, 100, 500), 0.2, 0.05
DRAWS = 200_000


def main() -> None:
    """Print the tables."""
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as stream:
            results = json.load(stream)["results"]
        first, *others = results
        for other in others:
            each = np.subtract(other["average_precision"], first["average_precision"])
            print(
                f"{path}: {other['name']} less {first['name']}: {each.mean():.3f}, deviation "
                f"{each.std(ddof=1):.3f}, {len(each)} images"
            )
    rng = np.random.default_rng(0)
    rules = " | ".join(f"{k:g} errors" for k in RULES)
    print(f"\n| validation images | {rules} |\n|---|{'---|' * len(RULES)}")
    for count in IMAGES:
        error = PAIRED / count**0.5
        true = rng.normal(0, TRUE, DRAWS)
        seen = true + rng.normal(0, error, DRAWS)
        cells = []
        for k in RULES:
            taken = np.where(seen > k * error, true, 0.0)
            lost = np.maximum(true, 0) - taken
            cells.append(f"{lost.mean():.4f}, {(lost > 0.01).mean():.0%}")
        print(f"| {count} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
