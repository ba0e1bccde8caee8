"""Notes in a Slack channel, by an incoming webhook.

Messages: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
Escaping: https://docs.slack.dev/messaging/formatting-message-text#escaping
Limits of blocks: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, SecretStr, field_validator

from watcher.errors import ExternalError
from watcher.kit import clock
from watcher.kit.http import Connection, HttpStatusError
from watcher.kit.outside import is_web_url, one_line
from watcher.model.order import Note, Severity
from watcher.ports import Tools

_TITLE, _SENTENCE, _NAME = 200, 2800, 150  # characters as sent; Slack takes 3000 a block
_SIGNS = {Severity.INFO: ":information_source:", Severity.WARNING: ":warning:", Severity.CRITICAL: ":rotating_light:"}
_WORD = re.compile(rb"[a-z_]{1,60}")  # Slack's own word for what is wrong, such as `channel_is_archived`


class SlackOptions(Connection):
    """Which channel: the URL says it."""

    url: SecretStr = Field(description="The incoming webhook's URL; whoever has it can write to the channel.")
    min_severity: Severity = Field(default=Severity.WARNING, description="Quieter notes are not sent.")

    @field_validator("url")
    @classmethod
    def _is_web_url(cls, url: SecretStr) -> SecretStr:
        if not is_web_url(url.get_secret_value()):
            raise ValueError("expected the incoming webhook's http or https URL")
        return url


class Slack:
    """One message for each note."""

    Options = SlackOptions

    def __init__(self, name: str, options: SlackOptions, tools: Tools) -> None:
        self.name = name
        self.min_severity = options.min_severity
        self._url = options.url
        self._http = tools.http(options)

    def send(self, note: Note) -> None:
        """Raises `ExternalError` as from the door, with Slack's own word where it said one."""
        try:
            self._http.request("POST", self._url.get_secret_value(), json=payload(note))
        except HttpStatusError as error:
            word = error.response.body.strip()
            if not _WORD.fullmatch(word) or word.decode() in self._url.get_secret_value():
                raise
            raise ExternalError(
                f"{error}: {word.decode()}",
                fault=error.fault,
                permanent=error.permanent,
                sent=error.sent,
                retry_after=error.retry_after,
            ) from None


def payload(note: Note) -> dict[str, Any]:
    """The message: `text` for what cannot show blocks (a phone's lock screen), and the same in blocks."""
    sign = ":white_check_mark:" if note.resolved else _SIGNS[note.severity]
    title = escaped(note.title, _TITLE)
    facts = [
        f"*{name}* {escaped(value, _NAME)}"
        for name, value in (("service", note.service), ("environment", note.environment), ("version", note.version))
        if value.strip()
    ]
    blocks = [_section(f"{sign} *{title}*")]
    if note.sentence.strip():
        blocks.append(_section(escaped(note.sentence, _SENTENCE)))
    if link := _link(note.url):
        blocks.append(_section(link))
    when = f"<!date^{int(note.at)}^{{date_short_pretty}} {{time_secs}}|{clock.iso(note.at)}>"
    context = [{"type": "mrkdwn", "text": text} for text in (*facts, note.topic.value, when)]
    blocks.append({"type": "context", "elements": context})
    return {"text": f"{sign} {title}", "blocks": blocks}


def escaped(text: str, limit: int) -> str:
    """`text` on one line as Slack's mrkdwn shows it literally, at most `limit` characters after escaping."""
    line = one_line(text, limit)
    parts = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character) for character in line]
    room = limit
    for index, part in enumerate(parts):
        room -= len(part)
        if room < (0 if index == len(parts) - 1 else 1):
            return "".join(parts[:index]) + "…"
    return "".join(parts)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _link(url: str) -> str:
    address = url.replace("&", "&amp;")
    # `|` would end the address and begin the link's words.
    usable = is_web_url(url) and "|" not in url and len(address) <= _SENTENCE
    return f"<{address}|What the watcher saw>" if usable else ""
