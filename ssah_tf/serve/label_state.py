"""What a page of labelling shows."""

from dataclasses import asdict
from typing import Any

from ssah_tf.serve.labelling import Labelling


def labelling_state(labelling: Labelling) -> dict[str, Any]:
    """What a page shows, as `LabellingState` of `schemas` has it.

    Raises:
        DataError: The table is none any more.
    """
    with labelling.lock:
        revision, progress = labelling.progress()
        counts = dict.fromkeys(labelling.classes, 0)
        for names in labelling.table.labels.values():
            for name in names:
                counts[name] = counts.get(name, 0) + 1
        labelling.classes |= dict.fromkeys(counts)
        verdicts = [labelling.verdict(position) for position in range(len(labelling))]
        aside = labelling.photos.aside
        there = ([p for p in group if p not in aside] for group in labelling.groups)
        return {
            "revision": revision,
            "progress": asdict(progress),
            "error": labelling.error,
            "photos": len(labelling),
            "labelled": sum(bool(verdict.labels) for verdict in verdicts),
            "marked": sum(bool(verdict.mark) for verdict in verdicts),
            "moved": len(labelling.moved()),
            "steps": len(labelling.journal.steps),
            "classes": [{"name": name, "photos": count} for name, count in counts.items()],
            "groups": [[labelling.described(p) for p in group] for group in there if group],
            "correcting": labelling.correcting,
            "believed": [
                {"name": name, "photos": left}
                for name, found in labelling.believed.items()
                if (left := sum(verdicts[p].is_open(name) for p, _ in found if p not in aside))
            ],
            "measured": labelling.journal.measured,
            "map": labelling.layout.key if labelling.layout else "",
            "map_lacks": labelling.map_lacks,
            "no_map": labelling.no_map,
        }
