"""A message for a webhook that takes what Slack's takes, with nothing in it that Slack would obey.

Blocks: https://docs.slack.dev/reference/block-kit/blocks/section-block
Escapes: https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

from __future__ import annotations

import json

from edge.notify.news import MOST_SHOWN, FileEnded, Happening, News, VersionRefused, bounded
from edge.notify.post import Post
from edge.terminal import harmless

TITLES = {
    Happening.REJECTED: "File rejected",
    Happening.DEAD_LETTERED: "File dead-lettered",
    Happening.REFUSED: "Version refused",
    Happening.MOVED: "Alias moved",
    Happening.VERDICT: "Verdict reached",
    Happening.SILENCE: "No worker shows itself",
}
# What stands below the sentence, where that does not say it.
BELOW = {
    Happening.REJECTED: ("model", "version", "receipt"),
    Happening.DEAD_LETTERED: ("attempts", "receipt"),
    Happening.VERDICT: ("measure", "files", "rows_labelled", "run"),
    Happening.SILENCE: ("queue",),
}
MOST_SAID = 500  # characters of the sentence: five times as many escaped, and a section may have 3,000
# With letters of no width on both sides a mark stands at no word's edge.
_NO_MARKUP = str.maketrans({mark: f"\u200b{mark}\u200b" for mark in "*_~"})


def slack(url: str, news: News, source: str) -> Post:
    """The message as it is sent: a title, the sentence, and what else is known."""
    title, said, known = TITLES[news.happening], _said(news), news.fields()
    below = [
        f"{key.replace('_', ' ')} {_code(str(known[key]))}" for key in BELOW.get(news.happening, ()) if key in known
    ]
    below += [f"in {_code(source)}", f"{news.time:%Y-%m-%d %H:%M:%S} UTC"]
    blocks = [
        {"type": "section", "text": _marked(f"*{title}*\n{said}")},
        {"type": "context", "elements": [_marked(" · ".join(below))]},
    ]
    body = json.dumps({"text": f"{title}: {said}", "blocks": blocks}).encode()
    return Post(url, body, {"Content-Type": "application/json"})


def _said(news: News) -> str:
    """The sentence, with what is of others in it (a file's name, why a version was refused) as code."""
    data, others = news.data, ""
    if isinstance(data, FileEnded):
        others = bounded(harmless(data.file), MOST_SHOWN)
    elif isinstance(data, VersionRefused):
        others = data.reason
    pieces = news.sentence.split(others) if others else [bounded(news.sentence, MOST_SAID)]
    return (_code(others) if others else "").join(_plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    """The text with no bold, italic or struck out letters."""
    return _escaped(text).translate(_NO_MARKUP)


def _code(text: str) -> str:
    """A value as code, in which nothing is formatted or made a link; a backtick would end it."""
    plain = _escaped(bounded(text, MOST_SHOWN)).replace("`", "ˋ").replace("\n", " ")
    return f"`{plain or ' '}`"


def _escaped(text: str) -> str:
    """The text with the three characters that Slack obeys written out."""
    return harmless(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _marked(text: str) -> dict[str, object]:
    """`verbatim`: Slack makes no links and no mentions out of it."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
