"""What a person sees of a choice: the plan before it, the table after it."""

from rich.table import Table

from ssah_tf.system.durations import in_words
from ssah_tf.system.text import plain_console, printable
from ssah_tf.training.choose.record import Record


def print_plan(record: Record) -> None:
    """Print what is tried, at which size, how long it may take and why; and what is not."""
    console = plain_console()
    table = Table(box=None, pad_edge=False)
    for column in ("recipe", "px", "about", "why"):
        table.add_column(column, overflow="fold")
    if record.features:
        why = f"shared; of {record.to_compute + record.kept:,} photos"
        if record.kept:
            why += f", of {record.kept:,} they are there"
        table.add_row("features", str(record.planned[0].size), in_words(record.features), why)
    for planned in record.planned:
        row = (planned.name, str(planned.size), in_words(planned.seconds), planned.why)
        table.add_row(*row)
    for left_out in record.left_out:
        table.add_row(left_out.name, "-", "left out", printable(left_out.why))
    total = record.features + sum(planned.seconds for planned in record.planned)
    console.print(
        f"\nplan: {in_words(record.budget)} in all, of which {in_words(record.spent)} are gone and "
        f"about {in_words(total)} are planned; measuring the chosen one, about "
        f"{in_words(record.evaluation)}, comes on top",
        soft_wrap=True,
    )
    console.print(table)
    if not record.enough and len(record.planned) > 1:
        console.print(
            "few labels validate: with those, a recipe is chosen by what is best for few labels",
            soft_wrap=True,
        )


def summary_of(record: Record) -> dict[str, str]:
    """What was chosen, why, and the time that was given and taken."""
    return {
        "chosen": record.chosen or "nothing",
        "why": record.why,
        "budget": in_words(record.budget),
        "spent": in_words(record.spent),
    }


def rows_of(record: Record) -> list[dict]:
    """The table of a choice: name, what, validation and time of each, those left out at the end."""
    planned = {plan.name: plan for plan in record.planned}
    done = [
        {
            "name": result.name,
            "what": f"{planned[result.name].what}, {planned[result.name].size} px",
            "validation": "–"
            if result.validation_map is None
            else f"{result.validation_map:.3f} ± {result.validation_error:.3f}",
            "time": in_words(result.seconds),
            "note": "; ".join(notes_of(record, result.name)),
        }
        for result in record.results
    ]
    return done + [
        {
            "name": left_out.name,
            "what": left_out.what,
            "validation": "–",
            "time": "–",
            "note": left_out.why,
        }
        for left_out in record.left_out
    ]


def notes_of(record: Record, name: str) -> list[str]:
    """What is to be said of a result."""
    result = record.result(name)
    notes = ["chosen"] if name == record.chosen else []
    if result and result.share < 1:
        notes.append(f"{result.share:.0%} of its length")
    return notes + ([result.note] if result and result.note else [])


def print_choice(record: Record) -> None:
    """Print what came of each, and which was chosen and why."""
    console = plain_console()
    table = Table(box=None, pad_edge=False)
    for column in ("recipe", "validation mAP", "time", ""):
        table.add_column(column, overflow="fold")
    for row in rows_of(record):
        table.add_row(row["name"], row["validation"], row["time"], printable(row["note"]))
    console.print()
    console.print(table)
    console.print(f"chosen: {record.chosen}; {record.why}", soft_wrap=True)
