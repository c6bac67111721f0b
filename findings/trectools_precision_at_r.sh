#!/usr/bin/env bash
# trectools 0.0.50 with pandas 3: get_rprec() counts what is relevant to any other query.
#
# What one would expect: the precision at R, of a query's first R results the share that is relevant
# to it, is at most 1, and does not depend on the version of pandas. trectools asks for any version.
# What happens: pandas 3 leaves the column of a group out of what apply() gives to its function. The
# next join then has no query to go by: the first R results of all queries, together, count for each
# query that they are relevant to. Queries that share one database, as in image retrieval, are all
# affected: of random rankings of four classes 2.0 in place of .23, above 1 for each query. There is
# no error, no warning. With pandas 2.3.3 it is right; get_precision() is right with both.
# Seen with: trectools 0.0.50, pandas 3.1.1 and 2.3.3, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/trectools_precision_at_r.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 3.1.1 2.3.3; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    trectools==0.0.50 pandas==$version numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from trectools import TrecEval, TrecQrel, TrecRun

QUERIES, IMAGES, CLASSES = 8, 100, 4
rng = np.random.default_rng(0)
labels = rng.integers(0, CLASSES, IMAGES)
results, judged, wanted, precision = [], [], {}, []
for number in range(QUERIES):
    query, order = f"q{number}", rng.permutation(IMAGES)
    relevant = labels == number % CLASSES
    wanted[query] = relevant[order[: relevant.sum()]].mean()
    precision.append(relevant[order[:10]].mean())
    results += [(query, "Q0", f"d{image:03}", place + 1, float(IMAGES - place), "x")
                for place, image in enumerate(order)]
    judged += [(query, 0, f"d{image:03}", int(relevant[image])) for image in range(IMAGES)]
run, qrels = TrecRun(), TrecQrel()
run.run_data = pd.DataFrame(results, columns=["query", "q0", "docid", "rank", "score", "system"])
qrels.qrels_data = pd.DataFrame(judged, columns=["query", "q0", "docid", "rel"])
evaluation = TrecEval(run, qrels)
found = evaluation.get_rprec()
per_query = evaluation.get_rprec(per_query=True).iloc[:, 0].to_dict()
of_ten = evaluation.get_precision(depth=10)
print(f"pandas {pd.__version__}: precision at R {found:.3f}, right is "
      f"{np.mean(list(wanted.values())):.3f}; queries from {min(per_query.values()):.3f} to "
      f"{max(per_query.values()):.3f}; at 10: {of_ten:.3f}, right is {np.mean(precision):.3f}")
right = all(np.isclose(per_query[query], value) for query, value in wanted.items())
right &= bool(np.isclose(found, np.mean(list(wanted.values()))))
wrong = min(per_query.values()) > 1 and found > 1
described = np.isclose(of_ten, np.mean(precision))
described &= wrong if pd.__version__.startswith("3") else right
sys.exit(not described)
PYTHON
if "$folder/3.1.1/bin/python" "$folder/look.py" &&
  "$folder/2.3.3/bin/python" "$folder/look.py"; then
  echo "as described"
else
  echo "CHANGED"
  exit 1
fi
