"""Writes what looks made: those that fall due together share a transaction, each under its own fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from watcher.engine import respond
from watcher.engine.bands import keep_bands
from watcher.engine.gather import Gathered, write_points
from watcher.errors import LeaseLostError, StoreUnavailableError
from watcher.model.order import Hold, RollbackOrder
from watcher.model.service import Freeze
from watcher.model.watch import Watch
from watcher.store import claims, looks, orders, records, watches
from watcher.store.claims import Claim
from watcher.store.database import Database, Tx
from watcher.store.looks import Look
from watcher.store.orders import Order
from watcher.store.restored import restored_at
from watcher.verdict.restraint import HOUR, Held, restraint

_RESTORED = Held(Hold.RESTORED, "the store was restored from a backup, and a newer deploy may not be known")


@dataclass(frozen=True, slots=True)
class Outlook:
    """One look's work, before it is written."""

    look: Look | None
    response: respond.Response
    blind: float


@dataclass(frozen=True, slots=True)
class Made:
    """A look that was made and is to be written.

    Attributes:
        before: the watch as the look found it.
        at: the look's time; `seconds`: what making it took.
        ours: the store has nothing of this watch that `gathered` does not know.
    """

    claim: Claim
    before: Watch
    gathered: Gathered
    outlook: Outlook
    at: float
    seconds: float
    ours: bool

    @property
    def decides(self) -> bool:
        """Whether something is to be done about it; it is written by itself then, and at once."""
        return bool(self.outlook.response.orders)


class Recorder:
    """Writes looks; safe to use from several threads."""

    def __init__(
        self, database: Database, base_url: str, rollbacks_per_hour: int, freezes: Mapping[str, Sequence[Freeze]]
    ) -> None:
        self._database = database
        self._base_url = base_url
        self._rollbacks_per_hour = rollbacks_per_hour
        self._freezes = freezes

    def write(self, made: Sequence[Made], now: float) -> list[Outlook | Exception]:
        """Writes each with what follows from it: what was really written, for a rollback may have to wait, or why it
        was not. Neither a lost lease nor a failure of one touches the others.
        """
        quiet = [place for place, one in enumerate(made) if not one.decides]
        together = self._together([made[place] for place in quiet], now) if len(quiet) > 1 else {}
        done = {quiet[place]: result for place, result in together.items()}
        return [done[place] if place in done else self._alone(one, now) for place, one in enumerate(made)]

    def _together(self, made: Sequence[Made], now: float) -> Mapping[int, Outlook | Exception]:
        """By place; those that are not in it are to be written by themselves."""
        done: dict[int, Outlook | Exception] = {}
        try:
            with self._database.write(alone=False) as tx:
                free = claims.lock_free(tx, [one.claim for one in made])
                for place, one in enumerate(made):
                    if one.claim.watch.id not in free:
                        continue
                    try:
                        done[place] = self._put(tx, one, now)
                    except LeaseLostError as error:  # nothing of it was written
                        done[place] = error
        except StoreUnavailableError as error:
            return dict.fromkeys(range(len(made)), error)
        except Exception:  # noqa: BLE001  # it is met again where its look is written by itself
            return {}
        for place, result in done.items():
            if isinstance(result, Outlook):
                made[place].gathered.written(result.look)
        return done

    def _alone(self, one: Made, now: float) -> Outlook | Exception:
        try:
            with self._database.write(alone=one.decides) as tx:  # a budget is asked and spent at once
                outlook = self._put(tx, one, now)
        except Exception as error:  # noqa: BLE001  # whoever made the look says what comes of it
            return error
        one.gathered.written(outlook.look)
        return outlook

    def _put(self, tx: Tx, one: Made, now: float) -> Outlook:
        """Writes a look. `LeaseLostError` is raised before anything is written."""
        gathered, outlook, watch_id = one.gathered, one.outlook, one.before.id
        response = self._restrained(tx, outlook.response, now) if one.decides else outlook.response
        after = response.watch
        release = after.next_look_at is None or after.next_look_at > now
        claims.save(tx, one.claim, after, release=release)
        if outlook.look is not None:
            looks.add(tx, outlook.look, new=one.ours)
        if gathered.settled and not gathered.stored:
            before = looks.calibration(tx, watch_id)
            if before is not None and before != gathered.data:  # another engine's: looks of before rest on it
                records.keep_provisional(tx, watch_id, now, before)
                watches.log(tx, watch_id, now, "learned_again", "What is normal was learned again.")
            looks.keep_calibration(tx, watch_id, now, gathered.data)
        elif not gathered.settled and outlook.look is not None:
            records.keep_provisional(tx, watch_id, now, gathered.data)
        write_points(tx, watch_id, gathered, now, ours=one.ours)
        if after.ended:
            keep_bands(tx, after, gathered)
        for order in response.orders:
            orders.add(tx, order)
        for event, line in response.events:
            watches.log(tx, watch_id, now, event, line)
        return replace(outlook, response=response)

    def _restrained(self, tx: Tx, response: respond.Response, now: float) -> respond.Response:
        """The response, asking a person where a restored store, a freeze or a budget forbids to go on alone.

        Its rollback is stamped by the clock that all replicas share: by it budgets are counted and approvals run out.
        """
        rollbacks = [order for order in response.orders if isinstance(order.payload, RollbackOrder)]
        if not rollbacks:
            return response
        moment = self._database.clock.read(tx, now)
        if not rollbacks[0].expires_at:
            policy = response.watch.policy
            # What was made before that clock was set forward is younger than it says.
            spent, added = orders.spent(tx, moment.surely - HOUR), self._freezes.get(policy.name, ())
            known = restored_at(tx, response.watch.id) is None
            held = restraint(policy, spent, self._rollbacks_per_hour, now, added) if known else _RESTORED
            response = respond.hold_back(response, held, self._base_url, now) if held else response
        return replace(response, orders=tuple(_stamped(order, moment.at - now) for order in response.orders))


def _stamped(order: Order, ahead: float) -> Order:
    """A rollback with its times by a clock that is `ahead` of the one that it was made by; a note as it is."""
    if not isinstance(order.payload, RollbackOrder):
        return order
    return replace(
        order,
        created_at=order.created_at + ahead,
        updated_at=order.updated_at + ahead,
        next_at=None if order.next_at is None else order.next_at + ahead,
        expires_at=None if order.expires_at is None else order.expires_at + ahead,
    )
