"""Which candidates fit into the time that is left: at which size, at which length."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ssah_tf.system.errors import SsahError
from ssah_tf.training.choose.budget import smallest_budget
from ssah_tf.training.choose.candidates import CANDIDATES, MADE_FOR, Candidate, reason
from ssah_tf.training.choose.costs import Costs
from ssah_tf.training.choose.traits import Traits

#: Share of the time that is left which is planned; the rest is for what timings do not say.
PLANNED = 0.92
#: Candidates in the order in which the time is filled, and those that look with a frozen backbone.
FILLED, LOOKING = ("baseline", "frozen", "pretrained", "folder"), ("baseline", "frozen")
#: Shares of a training's length that are worth it, the best first.
SHARES = (1.0, 0.75, 0.5)


@dataclass(frozen=True)
class Choice:
    """Candidates with the side in pixels and the share of its length of each, by name."""

    of: dict[str, tuple[int, float]]

    def having(self, name: str, size: int, share: float) -> "Choice":
        """The same with a candidate more, or at another side or length."""
        return replace(self, of={**self.of, name: (size, share)})

    def seconds(self, costs: Costs) -> float:
        """What all take; the features of a frozen backbone once."""
        frozen = [size for name, (size, _) in self.of.items() if name not in costs.games]
        own = sum(costs.seconds(name, *how) for name, how in self.of.items())
        return own + (costs.features(frozen[0]) if frozen else 0.0)


def make_plan(
    left: float,
    spent: float,
    costs: Costs,
    sizes: dict[str, tuple[int, ...]],
) -> tuple[Choice, dict[str, str]]:
    """Fill the time that is left.

    First each candidate at its smallest side, a training in half its length at least. Before a
    small network is trained from scratch, the frozen backbone gets images of the side that it was
    made for: docs/notebook/choice.md. What is left then goes into larger images: of the frozen
    backbone, then of the one that is trained.

    Args:
        left: Seconds of the budget that are left.
        spent: Seconds that are gone.
        costs: What candidates cost.
        sizes: Sides of each candidate that makes sense, ascending, by name.

    Returns:
        What to try, and for each candidate that does not fit, why.

    Raises:
        SsahError: Nothing fits.
    """
    room = PLANNED * left
    plan, dropped = Choice({}), {}
    for name in (name for name in FILLED if name in sizes):
        before = plan  # what a larger budget would plan before this candidate
        if name == "folder":
            usual = {of: tuple(s for s in sides if s <= MADE_FOR) for of, sides in sizes.items()}
            plan, before = (
                enlarged(plan, LOOKING, costs, usual, most) for most in (room, math.inf)
            )
        side = sizes[name][0]
        shares = SHARES if costs.recipes[name].train.joint else SHARES[:1]
        fitting = [plan.having(name, side, share) for share in shares]
        fitting = [more for more in fitting if more.seconds(costs) <= room]
        if fitting:
            plan = fitting[0]
        else:
            needed = spent + before.having(name, side, shares[-1]).seconds(costs) / PLANNED
            dropped[name] = needed
    if not plan.of:
        least = smallest_budget(min(dropped.values()))
        raise SsahError(
            f"the budget is too small for anything: the smallest that works is --budget {least}"
        )
    for names in (LOOKING, ("pretrained",)):
        plan = enlarged(plan, names, costs, sizes, room)
    return Choice({c.name: plan.of[c.name] for c in CANDIDATES if c.name in plan.of}), {
        name: f"not in this time: --budget {smallest_budget(needed)} would try it"
        for name, needed in dropped.items()
    }


def best_plan(
    left: float,
    spent: float,
    costs: Sequence[Costs],
    sizes: dict[str, tuple[int, ...]],
) -> tuple[Choice, dict[str, str], Costs]:
    """Plan with as many images as leave time for images of the side a backbone was made for.

    Larger images are worth more than more of them: docs/notebook/choice.md.

    Args:
        left: See `make_plan`.
        spent: See `make_plan`.
        costs: With fewer and fewer images that a frozen backbone looks at; one or more.
        sizes: See `make_plan`.

    Returns:
        As `make_plan`, and the costs that were planned with.

    Raises:
        SsahError: Nothing fits, with however few images.
    """
    *more, fewest = costs
    for each in more:
        with suppress(SsahError):
            plan, dropped = make_plan(left, spent, each, sizes)
            if all(
                name in plan.of and plan.of[name][0] >= min(MADE_FOR, sizes[name][-1])
                for name in LOOKING
                if name in sizes
            ):
                return plan, dropped, each
    return *make_plan(left, spent, fewest, sizes), fewest


def enlarged(
    plan: Choice,
    names: tuple[str, ...],
    costs: Costs,
    sizes: dict[str, tuple[int, ...]],
    room: float,
) -> Choice:
    """A plan with the largest images of some candidates that fit."""
    there = [name for name in names if name in plan.of]
    for side in sizes[there[0]] if there else ():
        larger = plan
        for name in there:
            larger = larger.having(name, side, plan.of[name][1])
        if larger.seconds(costs) <= room:
            plan = larger
    return plan


def reason_of(candidate: Candidate, traits: Traits, share: float) -> str:
    """Why a candidate is tried, and at which length."""
    why = reason(candidate, traits)
    return why if share == 1 else f"{why}; {share:.0%} of its length"
