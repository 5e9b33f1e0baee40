"""Which addresses the service may send events to."""

from __future__ import annotations

from fnmatch import fnmatchcase

import httpx

from store.errors import WebhookUnusable
from store.settings import Settings

PORT_MAX = 65_535


class Receivers:
    """What the setting `webhook_hosts` says."""

    def __init__(self, settings: Settings) -> None:
        self._patterns = [pattern.strip().lower() for pattern in settings.webhook_hosts.split(",") if pattern.strip()]

    def require(self, url: str) -> None:
        """Nothing happens where events may be sent there.

        Raises:
            WebhookUnusable: it is no address, or none that may be.
        """
        if (reason := self.obstacle(url)) is not None:
            raise WebhookUnusable(reason=reason)

    def obstacle(self, url: str) -> str | None:
        """Why nothing can be sent there; None: it can."""
        try:
            parsed = httpx.URL(url)
            host = parsed.host  # Decoded only here, where a name of xn-- may be none.
        except (httpx.InvalidURL, ValueError):
            return "it is no URL"
        if parsed.scheme not in {"http", "https"} or not host:
            return "it is no URL that begins with https:// (or http://) and a host"
        if parsed.port is not None and not 0 < parsed.port <= PORT_MAX:
            return f"its port is none from 1 to {PORT_MAX}"
        if parsed.userinfo or parsed.fragment:
            return "it has a user, a password or a fragment in it"
        if not any(fnmatchcase(host.lower(), pattern) for pattern in self._patterns):
            return "its host is none of those that POSTERITY_WEBHOOK_HOSTS allows"
        return None
