"""Why an object store did not do what it was asked, in words that hold no key and no signature."""

from __future__ import annotations

import re

INSTANCE = "169.254.169.254"
"""Where a machine of Amazon's gives out credentials; asked where no others are found."""
CODE = re.compile(r"<Code>(\w+)</Code>")
STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")
SIGNS = {
    "kind: Connect": "no connection can be made",
    "kind: Timeout": "no answer in time",
    "HttpError": "the connection broke",
}


def reason_of(error: Exception) -> str:
    """The store's own code where it gave one, else what became of the connection.

    The library's words have the whole request and answer in them, down to what was signed.
    """
    text = str(error)
    if INSTANCE in text:
        return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if (said := CODE.search(text) or STATUS.search(text)) is not None:
        return f"the store says {said[1].strip()}"
    return next((reason for sign, reason in SIGNS.items() if sign in text), "its library gives no reason")
