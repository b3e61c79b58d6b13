"""The one place where passwords, and what a terminal would obey, are taken out of text.

FFmpeg puts the whole URL, password included, into its error messages and log lines, so no text that comes
from it, or holds an address, is shown or logged before it has been through here. Nor is what a server answers, or a
file is called: its line breaks could forge lines of the log, and its escapes rewrite the terminal that shows them.
"""

from __future__ import annotations

import logging
import re

HIDDEN = "***"

# C0 and C1, what turns the direction of writing or ends a line, and bytes of a file's name that are no text.
_UNSEEN = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_CONTROL_BUT_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")

# Up to the LAST @ of the word: an unescaped @ or / in a password must not let its tail through. A word whose
# only @ lies in the path ("rtsp://10.0.0.2:554/live@1") has no login: its "password" is a port number. Of a host
# without a dot that cannot be told from a user whose password begins with digits, so there it goes, too. A user may be
# called as an e-mail is, and slashes may be mistyped.
_LOGIN = re.compile(
    r"([a-z][a-z0-9+.\-]{0,30}:/+(?!(?:localhost|[^\s:/?#@]*\.[^\s:/?#@]*):\d{1,5}(?:[/?#]|$))[^\s:/?#]*:)[^\s]*@",
    re.IGNORECASE,
)
# Of an address whose rtsp:// was forgotten, or the colon in it, so that it is taken for the name of a file.
# Only where a text begins with it or quotes it: in the middle of a sentence it is one's own USER:PASSWORD@.
_BARE_LOGIN = re.compile(r"((?:^|(?<=['\"]))(?:\w{1,8}//)?[^\s:/?#'\"]{1,64}:)(?!/)[^\s]+@")
_WORD = re.compile(r"\S+")
# Whatever comes before it: SessionToken, X-Amz-Signature, loginpas. Not of any length: that would take the square of a
# word's length, of seconds for what a server may send.
_QUERY = re.compile(
    r"([?&;/_][a-z0-9.\-]{0,40}(?:passw(?:or)?d|passphrase|pwd|pass?|psw|token|auth|key|secret|sig|signature)=)"
    r"[^&\s'\"]*?(?=[:;,]?(?:[&\s'\"]|$))",  # but for the mark of the sentence that it stands in
    re.IGNORECASE,
)
_HEADER = re.compile(r"(authorization:\s*)[^\r\n]*", re.IGNORECASE)


def _without_login(word: re.Match[str]) -> str:
    """Only up to its last @: to look for one that is not there from each place takes the square of a word's length."""
    before, at, after = word[0].rpartition("@")
    before = _LOGIN.sub(rf"\g<1>{HIDDEN}@", before + at)
    begin = " " if word.start() else ""  # for the pattern's sake, to which each word is a text
    return _BARE_LOGIN.sub(rf"\g<1>{HIDDEN}@", begin + before).removeprefix(" ") + after


def redact(text: str) -> str:
    """Replace every password and secret of the URLs in ``text`` by ``***``; idempotent."""
    text = _WORD.sub(_without_login, text)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _HEADER.sub(rf"\g<1>{HIDDEN}", text)


def plain(text: str, *, lines: bool = False) -> str:
    """Spell out what is no character to be seen: a terminal's escapes, line breaks, changes of direction.

    lines: those that end one stay, as of a traceback.
    """
    return (_CONTROL_BUT_LINES if lines else _CONTROL).sub(lambda match: ascii(match[0])[1:-1], text)


class RedactingFilter(logging.Filter):
    """Redacts messages and tracebacks, and keeps each message on its line.

    Add it to the *handlers*: a logger's own filter never sees the records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact ``record`` in place; it is always let through."""
        record.msg, record.args = plain(redact(record.getMessage())), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = plain(redact(record.exc_text), lines=True)
        if record.stack_info:
            record.stack_info = plain(redact(record.stack_info), lines=True)
        return True
