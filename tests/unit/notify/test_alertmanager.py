from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.alertmanager_server import AlertmanagerServer
from support.fault_server import Answer, FaultServer
from support.orders import a_note
from support.plain_tools import plain_tools

from watcher.kit import clock
from watcher.model.order import Severity, Topic
from watcher.notify.alertmanager import Alertmanager, AlertmanagerOptions, payload

LABELS = {"alertname": "DeployWatch", "service": "checkout", "environment": "production", "watch": "w_01"}
RESOLVED = {"resolved": True, "topic": Topic.RECOVERED, "severity": Severity.INFO, "title": "recovered"}


def test_a_firing_alert_is_exactly_this() -> None:
    assert payload(a_note(), {"team": "shop"}, a_note().at + 30, 60.0) == [
        {
            "labels": LABELS | {"team": "shop"},
            "annotations": {
                "summary": "checkout 2.14.0 regressed in production",
                "description": "Conversion fell by 31 % since 03:05, expected 4.2 %.",
                "topic": "regressed",
                "severity": "critical",
                "version": "2.14.0",
                "url": "https://watcher.acme.example/watches/w_01",
            },
            "startsAt": "2026-11-22T03:10:00Z",
            "endsAt": "2026-11-22T03:13:30Z",
            "generatorURL": "https://watcher.acme.example/watches/w_01",
        }
    ]


def test_a_resolved_one_ended_when_it_was_decided_and_never_ahead() -> None:
    note = a_note(**RESOLVED)
    for now in (note.at + 3600, note.at - 3600):
        (alert,) = payload(note, {}, now, 60.0)
        assert alert["endsAt"] == clock.iso(min(note.at, now))
        assert alert["startsAt"] <= alert["endsAt"]


def test_the_labels_are_the_same_for_every_note_of_one_alert() -> None:
    notes = [a_note(topic=topic, severity=severity, title="t", at=5.0) for topic in Topic for severity in Severity]
    assert {tuple(sorted(payload(note, {}, 10.0, 60.0)[0]["labels"].items())) for note in notes} == {
        tuple(sorted(LABELS.items()))
    }
    assert payload(a_note(alert="w_02"), {}, 10.0, 60.0)[0]["labels"]["watch"] == "w_02"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "alertmanager:9093"}, "expected an http or https URL"),
        ({"url": "http://am:9093/?x=y"}, "without a query"),
        ({"labels": {"the-team": "a"}}, "expected label names"),
        ({"labels": {"1a": "a"}}, "expected label names"),
        ({"labels": {"__name__": "a"}}, "expected label names"),
        ({"labels": {"team": ""}}, "for the label team"),
        ({"labels": {"watch": "a"}}, "the label watch is set by the watcher itself"),
        ({"renew_every": 0}, "greater than or equal to 1"),
    ],
)
def test_options_are_checked_early(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertmanagerOptions.model_validate({"url": "http://am:9093", **options})


def test_a_path_prefix_is_kept() -> None:
    with FaultServer() as server:
        server.answer = lambda _request: Answer(200)
        Alertmanager("am", AlertmanagerOptions(url=f"{server.url}/am/"), plain_tools()).send(a_note())
    assert server.requests[0].path == "/am/api/v2/alerts"


@pytest.fixture(scope="module")
def told() -> Iterator[FaultServer]:
    with FaultServer() as receiver:
        receiver.answer = lambda _request: Answer(200)
        yield receiver


@pytest.fixture(scope="module")
def alertmanager(told: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    with AlertmanagerServer(folder, webhook=f"{told.url}/alerts") as server:
        yield server


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not in 60 s"
        time.sleep(0.05)


@pytest.mark.alertmanager
def test_a_real_one_fires_renews_and_resolves(alertmanager: AlertmanagerServer, told: FaultServer) -> None:
    watch = "w_life"
    notifier = Alertmanager("am", AlertmanagerOptions(url=alertmanager.url, labels={"team": "shop"}), plain_tools())

    def firing() -> list[dict[str, Any]]:
        return [alert for alert in alertmanager.alerts() if alert["labels"]["watch"] == watch]

    def people_heard(status: str) -> int:
        heard = [alert for request in told.requests for alert in request.json()["alerts"]]
        return len([alert for alert in heard if alert["labels"]["watch"] == watch and alert["status"] == status])

    began = clock.now() - 30
    notifier.send(a_note(alert=watch, at=began))
    (alert,) = firing()
    assert alert["labels"] == LABELS | {"watch": watch, "team": "shop"}
    assert alert["annotations"]["description"] == "Conversion fell by 31 % since 03:05, expected 4.2 %."
    assert clock.parse_iso(alert["startsAt"]) == int(began)
    assert clock.parse_iso(alert["endsAt"]) - clock.now() > 150
    _until(lambda: people_heard("firing") == 1)

    time.sleep(1.1)  # times are sent to the second
    notifier.send(a_note(alert=watch, at=began))
    notifier.send(
        a_note(alert=watch, at=began + 10, topic=Topic.APPROVAL_WANTED, severity=Severity.WARNING, title="approve?")
    )
    (renewed,) = firing()
    assert renewed["fingerprint"] == alert["fingerprint"]
    assert renewed["startsAt"] == alert["startsAt"]
    assert clock.parse_iso(renewed["endsAt"]) > clock.parse_iso(alert["endsAt"])
    assert renewed["annotations"]["summary"] == "approve?"

    notifier.send(a_note(alert=watch, at=clock.now() - 1, **RESOLVED))
    assert firing() == []
    _until(lambda: people_heard("resolved") == 1)
    assert people_heard("firing") == 1


@pytest.mark.alertmanager
def test_a_real_one_lets_an_alert_end_that_nobody_renews(alertmanager: AlertmanagerServer) -> None:
    options = AlertmanagerOptions(url=alertmanager.url, renew_every=1.0)
    Alertmanager("am", options, plain_tools()).send(a_note(alert="w_lost", at=clock.now()))
    assert [alert for alert in alertmanager.alerts() if alert["labels"]["watch"] == "w_lost"]
    _until(lambda: not [alert for alert in alertmanager.alerts() if alert["labels"]["watch"] == "w_lost"])


@pytest.mark.alertmanager
def test_a_real_one_takes_every_note_and_an_unknown_end(alertmanager: AlertmanagerServer) -> None:
    notifier = Alertmanager("am", AlertmanagerOptions(url=alertmanager.url), plain_tools())
    notifier.send(a_note(alert="w_never_fired", **RESOLVED))
    odd = 'ключ \ud800 "\n{{ .x }}'
    notifier.send(a_note(alert="w_odd", title=odd, sentence=odd, service=odd, version="", url="javascript:x", at=0.0))
    alerts = {alert["labels"]["watch"]: alert for alert in alertmanager.alerts()}
    assert "w_never_fired" not in alerts
    assert not alerts["w_odd"].get("generatorURL")
