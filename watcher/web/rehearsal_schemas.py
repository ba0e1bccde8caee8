"""What the API answers of rehearsals: published in the OpenAPI page, hence fixed."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from watcher.web.schemas import Time


class ShareView(BaseModel):
    """How often something happened in placebo deploys, with its 95 % interval."""

    model_config = ConfigDict(from_attributes=True)

    hits: int
    trials: int
    independent: int = Field(description="How many trials count as independent: the interval rests on these.")
    value: float | None
    low: float
    high: float


class ExtrapolatedView(BaseModel):
    """A probability beyond what was measured, read off the tail of the scores."""

    model_config = ConfigDict(from_attributes=True)

    value: float
    low: float
    high: float


class ShapeView(BaseModel):
    """One shape of harm: what it must come to, to be called within the window."""

    model_config = ConfigDict(from_attributes=True)

    name: Literal["step", "ramp", "late", "spike"]
    detectable: float | None = Field(description="Smallest harm seen in 80 %; null: not even the largest, `tried`.")
    tried: float
    seen: ShareView = Field(description="How often a harm of the signal's `must_see` is called.")


class SignalRehearsalView(BaseModel):
    """One signal over all placebo deploys."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    false_calls: ShareView
    unmeasured: dict[str, int] = Field(description="Cause -> placebos in which the signal could not be judged.")
    detectable: float | None = Field(description="Smallest lasting harm seen in 80 %; null: none that was tried.")
    tried: float | None = Field(description="Harm at which time and veto were measured.")
    looks: float | None = Field(description="Median until that harm was called.")
    seconds: float | None
    vetoed: ShareView = Field(description="How often that harm was put down to before the deploy.")
    shapes: list[ShapeView]
    basis: str = Field(description="How it was judged and against what, in plain words; empty if it could not be.")
    advice: list[str]


class PooledView(BaseModel):
    """The placebos of several rehearsals, each place in the past counted once."""

    model_config = ConfigDict(from_attributes=True)

    rehearsals: int
    false_calls: ShareView
    resolved: float | None


class RehearsalView(BaseModel):
    """Placebo deploys over a service's own history, with and without harm (docs/rehearsal.md)."""

    model_config = ConfigDict(from_attributes=True)

    service: str
    made_at: Time
    engine: str
    numpy: str
    false_rollback_probability: float = Field(description="As set; `false_calls` is what was measured.")
    window: float
    history: float = Field(description="Seconds.")
    placebos: int
    planned: int
    windows: int = Field(description="Independent windows in the usable part of the history.")
    false_calls: ShareView
    resolved: float | None = Field(description="Smallest probability that these placebos resolve.")
    resolvable: float | None = Field(description="The same of all windows.")
    pooled: PooledView | None = Field(description="With earlier rehearsals of the same policy; null: there are none.")
    extrapolated: ExtrapolatedView | None
    outcomes: dict[str, int]
    signals: list[SignalRehearsalView]
    cost: float
    sentences: list[str]
