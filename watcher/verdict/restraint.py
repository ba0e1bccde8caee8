"""When a rollback that is decided still waits for a person: in a freeze, or beyond a budget. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcher.model.order import Hold
from watcher.model.service import Freeze, Service
from watcher.verdict import freezes

HOUR = 3600.0  # what budgets are counted over, seconds


@dataclass(frozen=True, slots=True)
class Held:
    """Why a rollback waits for a person, as a word and as the part of a sentence."""

    hold: Hold
    text: str


def restraint(
    policy: Service, spent: Mapping[str, int], rollbacks_per_hour: int, now: float, added: Sequence[Freeze] = ()
) -> Held | None:
    """What stands against rolling back by itself; None if nothing does.

    Args:
        policy: of the service.
        spent: service -> rollbacks of the last hour.
        rollbacks_per_hour: what all services together may do.
        now: unix seconds.
        added: freezes that the service was given since the policy was made.
    """
    own, total = spent.get(policy.name, 0), sum(spent.values())
    if frozen := freeze(policy, now, added):
        return frozen
    if own >= policy.rollbacks_per_hour:
        return Held(Hold.SERVICE_BUDGET, _beyond(f"of {policy.name}", own, policy.rollbacks_per_hour))
    if total >= rollbacks_per_hour:
        return Held(Hold.TOTAL_BUDGET, _beyond("over all services", total, rollbacks_per_hour))
    return None


def freeze(policy: Service, now: float, added: Sequence[Freeze] = ()) -> Held | None:
    """The freeze that the service is in; None outside of all."""
    found = freezes.frozen_until((*policy.freeze, *added), now)
    if found is None:
        return None
    why = f": {found[0].why}" if found[0].why else ""
    return Held(Hold.FROZEN, f"{policy.name} is frozen until {freezes.written(*found)}{why}")


def _beyond(whose: str, number: int, most: int) -> str:
    plural = "rollback" if number == 1 else "rollbacks"
    return f"{number} {plural} {whose} in the last hour, and no more than {most} an hour may go by itself"
