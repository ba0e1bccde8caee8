"""The story: a good deploy that is left alone, then a bad one that is taken back, told by the watcher's public API."""

from __future__ import annotations

import time
from collections.abc import Callable

from watcher.demo.facts import Ending, Watch, facts
from watcher.demo.pipeline import SERVICE, Pipeline
from watcher.demo.processes import Child, DemoError
from watcher.demo.terminal import Screen
from watcher.demo.wire import call_json

GOOD, BAD = "v2", "v3"
_BREATH = 6.0  # seconds between the daemon's start or a verdict, and the next deploy
_VERDICT = 75.0  # seconds within which a watch of 40 s must be decided
_ROLLED_BACK = 30.0
_RECOVERED = 75.0


class Story:
    """Ships, follows and tells. It knows the watcher by its API alone."""

    def __init__(self, screen: Screen, pipeline: Pipeline, watcher: Child, shop_url: str, watcher_url: str) -> None:
        self._screen = screen
        self._pipeline = pipeline
        self._watcher = watcher
        self._shop_url = shop_url
        self._watcher_url = watcher_url

    def tell(self) -> bool:
        """The whole story; whether every fact held."""
        self._screen.title(f"A good deploy: {GOOD}")
        time.sleep(_BREATH)
        good = self._ship(GOOD)
        good = self._follow(good, lambda watch: watch["outcome"] is not None, _VERDICT, f"a verdict on {GOOD}")
        self._verdict(good)

        self._screen.title(f"A bad deploy: {BAD}")
        time.sleep(_BREATH)
        bad = self._ship(BAD)
        bad = self._follow(bad, lambda watch: watch["outcome"] is not None, _VERDICT, f"a verdict on {BAD}")
        self._verdict(bad)
        if bad["outcome"] == "regressed":
            self._complaints(bad["started_at"])
            self._rollback(bad)
        return self._summary(good["id"], bad["id"])

    def _ship(self, version: str) -> Watch:
        answer = self._pipeline.ship(version)
        watches = answer.get("watch_ids") or []
        if not watches:
            raise DemoError(f"the watcher opened no watch: {answer}", self._watcher.log)
        watch = self._watch(watches[0])
        names = ", ".join(signal["name"] for signal in watch["signals"])
        self._screen.say("pipeline", f"shipped {version} of {SERVICE} and told the watcher")
        self._screen.say("watcher", f"watching {names}: {self._watcher_url}/watches/{watch['id']}")
        return watch

    def _rollback(self, bad: Watch) -> None:
        bad = self._follow(bad, lambda _: bool(self._pipeline.calls), _ROLLED_BACK, "the rollback call")
        target = self._pipeline.calls[0].get("target_version")
        self._screen.say(
            "pipeline", f"rollback hook called (call {len(self._pipeline.calls)}): back to {target}", "bad"
        )
        bad = self._follow(bad, lambda _: bool(self._pipeline.receipts), _ROLLED_BACK, "the old version")
        serving = call_json("GET", f"{self._shop_url}/version")["version"]
        self._screen.say("pipeline", f"done: the shop serves {serving} again, and the watcher has been told")
        bad = self._follow(bad, lambda watch: watch["recovered"] is not None, _RECOVERED, "the recovery")
        for event in bad["events"]:
            if event["event"] in {"recovered", "not_recovered"}:
                self._screen.say("watcher", event["text"], "good" if bad["recovered"] else "bad")

    def _complaints(self, since: float) -> None:
        """What customers wrote meanwhile, in their words."""
        tickets = call_json("GET", f"{self._shop_url}/tickets?after={since}")["tickets"]
        subjects = [f'"{ticket["subject"]}"' for ticket in tickets if "checkout" in ticket["text"]]
        if subjects:
            some = ", ".join(tuple(dict.fromkeys(subjects))[:4])
            self._screen.say("helpdesk", f"{len(subjects)} customers wrote meanwhile: {some}")

    def _follow(self, watch: Watch, done: Callable[[Watch], bool], limit: float, what: str) -> Watch:
        """Looks once a second until `done`; the watch as it then is. What does not come is left to the summary."""
        until = time.monotonic() + limit
        while not done(watch):
            self._watcher.check()
            if time.monotonic() > until:
                self._screen.say("", f"{what} did not come within {limit:.0f} s", "bad")
                break
            time.sleep(1.0)
            watch = self._watch(watch["id"])
            self._screen.progress(_progress(watch))
        return watch

    def _watch(self, watch_id: str) -> Watch:
        found: Watch = call_json("GET", f"{self._watcher_url}/api/v1/watches/{watch_id}")
        return found

    def _verdict(self, watch: Watch) -> None:
        outcome = watch["outcome"] or "undecided"
        tone = {"healthy": "good", "regressed": "bad"}.get(outcome, "")
        self._screen.say("watcher", f"{watch['version']} is {outcome}", tone)
        self._screen.say("", watch["sentence"])

    def _summary(self, good_id: str, bad_id: str) -> bool:
        watches: list[Watch] = call_json("GET", f"{self._watcher_url}/api/v1/watches")["watches"]
        claims = facts(
            Ending(
                good=self._watch(good_id),
                bad=self._watch(bad_id),
                others=[watch for watch in watches if watch["id"] not in {good_id, bad_id}],
                calls=tuple(self._pipeline.calls),
                target=GOOD,
                serving=call_json("GET", f"{self._shop_url}/version")["version"],
            )
        )
        self._screen.title("Summary")
        for fact in claims:
            self._screen.say("  ok" if fact.holds else "  NOT OK", fact.text, "" if fact.holds else "bad")
        for problem in self._pipeline.problems:
            self._screen.say("pipeline", problem, "bad")
        return all(fact.holds for fact in claims)


def _progress(watch: Watch) -> str:
    """The signals on one line: how far each is from what was expected; after a rollback, how that stands."""
    if watch["rollback"]:
        return f"the rollback is {watch['rollback']['state']}; do the users come back?"
    parts = []
    for signal in watch["signals"]:
        effect = signal.get("effect")
        parts.append(f"{signal['name']} {'...' if effect is None else f'{effect:+.0%}'}")
    return f"{watch['state']}: {', '.join(parts)}"
