"""What can be wrong with a mapping or a file: the exceptions of ingest.

SourceError
├── BadMapping     a mapping that is not one: unknown key, value or time zone
├── BadFile        a file that cannot be read as the mapping says: missing, cut, other encoding
└── NotAccounted   rows in are not rows out: a fault of Regulars, nothing was made visible
"""

from __future__ import annotations


class SourceError(ValueError):
    """Nothing was taken in; the message names the file, the thing, the value and the want."""


class BadMapping(SourceError):
    """A mapping with an unknown key, value or time zone."""


class BadFile(SourceError):
    """A file that is missing, empty, cut short, wrongly encoded or without a wanted column."""


class NotAccounted(SourceError):
    """The rows that came out are not the rows that went in."""
