"""The API's JSON, documented in docs/api.md and published as OpenAPI. Names here never change their meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from watcher.kit.outside import is_storable
from watcher.model.decision import Outcome, Reason
from watcher.model.deploy import Phase
from watcher.model.finding import Cause, State
from watcher.model.order import Hold, RollbackState
from watcher.model.service import Harm, Kind, Mode, Role
from watcher.model.watch import WatchState

Time = Annotated[float, Field(description="Unix seconds.")]
Numbers = list[float | None]


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError(STORABLE)
    return text


STORABLE = "text without control characters"
Word = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
OptionalWord = Annotated[str, Field(max_length=256), AfterValidator(_storable)] | None  # an empty text is none


class RollbackView(BaseModel):
    """A watch's rollback."""

    id: str
    state: RollbackState
    target_version: str | None
    detail: str
    held: Hold | None = Field(description="Why it was left to a person although the mode is `act`.")


class RollbackDetail(RollbackView):
    """A watch's rollback, with what a person needs to decide on it."""

    requested_at: Time
    updated_at: Time
    expires_at: Time | None = Field(description="When it is too late to approve; null unless it waits for a person.")
    decided_by: str | None
    attempts: int


class WatchView(BaseModel):
    """A watch over one deploy of one service in one environment. Every time is in unix seconds."""

    id: str
    deploy_id: str
    service: str
    environment: str
    version: str
    previous_version: str | None
    mode: Mode
    state: WatchState
    outcome: Outcome | None = Field(description="Null until something is decided.")
    gate: str | None = Field(
        description="What a pipeline should act on: the outcome, else superseded or stopped; null while it must wait."
    )
    reason: Reason
    sentence: str
    score: float = Field(description="-log10 of the false-rollback probability at which harm would be called.")
    started_at: Time
    finished_at: Time
    until: Time = Field(description="End of the metric window.")
    ticket_until: Time = Field(description="End of the ticket window.")
    created_at: Time
    last_look_at: Time | None
    next_look_at: Time | None
    decided_at: Time | None
    ended_at: Time | None
    recovered: bool | None = Field(description="After a rollback; null while unknown.")
    superseded_by: str | None = Field(description="Id of the deploy that took its place.")
    blind_seconds: float
    url: str
    rollback: RollbackView | None


class SignalView(BaseModel):
    """A signal at the newest look. Effects are shares of what was expected; null where unknown."""

    name: str
    kind: Kind
    harm: Harm
    role: Role
    state: State | None = Field(description="Null before the first look.")
    cause: Cause | None
    note: str
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    onset: Time | None
    expected: float | None
    observed: float | None
    detectable: float | None = Field(description="Smallest harm that the window shows four times in five.")
    detectable_events: float | None = Field(
        description="How many more single events in the whole window that is; null where none are counted, or more of "
        "them is no harm."
    )
    score: float
    points: int
    missing: int
    complete_until: Time | None
    failure: str | None = Field(description="Why its source could not answer.")


class EventView(BaseModel):
    """A line of the audit log."""

    at: Time
    event: str
    text: str


class WatchDetail(WatchView):
    """A watch with its signals at the newest look and its audit log."""

    rollback: RollbackDetail | None
    signals: list[SignalView]
    events: list[EventView]
    links: dict[str, str]
    siblings: list[str] = Field(description="Ids of the other watches of the same deploy.")


class WatchList(BaseModel):
    """Watches, newest first."""

    watches: list[WatchView]
    next_before: Time | None = Field(description="`before` of the next page; null on the last one.")


class DeployView(BaseModel):
    """A deploy, watched or not."""

    id: str
    hook: str
    phase: Phase
    environment: str
    version: str
    previous_version: str | None
    received_at: Time
    started_at: Time
    finished_at: Time | None
    services: list[str] = Field(description="Services that it matched; none: an unwatched deploy.")
    watch_ids: list[str]
    attributes: dict[str, str]
    links: dict[str, str]
    rollback_id: str | None


class DeployList(BaseModel):
    """Deploys, newest first."""

    deploys: list[DeployView]
    next_before: Time | None


class TicketView(BaseModel):
    """A ticket; its subject has been redacted."""

    id: str
    created_at: Time
    subject: str
    url: str


class ChartView(BaseModel):
    """One signal over time: arrays of the same length, ascending in time, null where missing."""

    name: str
    kind: Kind
    harm: Harm
    role: Role
    is_tickets: bool
    step: float
    t: list[float]
    value: Numbers = Field(description="Measured; for a ratio the quotient.")
    expected: Numbers
    low: Numbers
    high: Numbers
    onset: Time | None
    tickets: list[TicketView]


class ChartsView(BaseModel):
    """Everything to draw of one watch."""

    watch_id: str
    version: str
    started_at: Time
    finished_at: Time
    until: Time
    ticket_until: Time
    rolled_back_at: Time | None = Field(description="When the pipeline confirmed the rollback, else accepted it.")
    signals: list[ChartView]


class DeployRequest(BaseModel):
    """A deploy, as a pipeline step tells it: the JSON of the generic hook."""

    model_config = ConfigDict(extra="forbid")

    service: Word = Field(description="Compared with the `match` of the configured services.", examples=["checkout"])
    environment: Word = Field(examples=["production"])
    version: Word = Field(examples=["v42"])
    previous_version: OptionalWord = Field(default=None, description="What ran before: where to go back to.")
    status: Literal["started", "finished", "failed", ""] | None = "finished"
    started_at: float | str | None = Field(
        default=None, description="First moment a user could meet the version: unix seconds or ISO 8601 with zone."
    )
    finished_at: float | str | None = Field(default=None, description="When the deploy ended; now, if left out.")
    id: OptionalWord = Field(default=None, description="The pipeline's own id of this deploy: repeats are recognized.")
    rollback_id: OptionalWord = Field(default=None, description="Our rollback's id, if this deploy carries it out.")
    links: dict[str, str] | Literal[""] | None = Field(
        default=None, description="Title -> http(s) URL, shown beside the deploy."
    )


class DeployAccepted(BaseModel):
    """The deploy is stored."""

    deploy_id: str
    watch_ids: list[str]
    receipt_of: str | None = Field(default=None, description="Id of our rollback that this deploy carries out.")
    warning: str | None = Field(default=None, description="What to put right although the deploy was taken.")


class DecisionRequest(BaseModel):
    """A person's decision."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_storable)] = Field(
        description="Kept in the audit log."
    )
