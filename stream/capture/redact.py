"""The one place where passwords are taken out of text.

FFmpeg puts the whole URL, password included, into its error messages and log lines, so no text that comes
from it, or holds an address, is shown or logged before it has been through here.
"""

from __future__ import annotations

import logging
import re

HIDDEN = "***"

# Up to the LAST @ of the word: an unescaped @ or / in a password must not let its tail through. A word whose
# only @ lies in the path ("rtsp://10.0.0.2:554/live@1") has no login: its "password" is a port number. Of a host
# without a dot that cannot be told from a user whose password begins with digits, so there it goes, too.
_LOGIN = re.compile(
    r"([a-z][a-z0-9+.\-]*://(?!(?:localhost|[^\s:/?#@]*\.[^\s:/?#@]*):\d{1,5}(?:[/?#]|$))[^\s:/?#@]*:)[^\s]*@",
    re.IGNORECASE,
)
# Whatever comes before it: SessionToken, X-Amz-Signature, loginpas. Not of any length: that would take the square of a
# word's length, of seconds for what a server may send.
_QUERY = re.compile(
    r"([?&;/_][a-z0-9.\-]{0,40}(?:passw(?:or)?d|passphrase|pwd|pass?|psw|token|auth|key|secret|sig|signature)=)"
    r"[^&\s'\"]*?(?=[:;,]?(?:[&\s'\"]|$))",  # but for the mark of the sentence that it stands in
    re.IGNORECASE,
)
_HEADER = re.compile(r"(authorization:\s*)[^\r\n]*", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace every password and secret of the URLs in ``text`` by ``***``; idempotent."""
    text = _LOGIN.sub(rf"\g<1>{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _HEADER.sub(rf"\g<1>{HIDDEN}", text)


class RedactingFilter(logging.Filter):
    """Redacts messages and tracebacks.

    Add it to the *handlers*: a logger's own filter never sees the records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact ``record`` in place; it is always let through."""
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
