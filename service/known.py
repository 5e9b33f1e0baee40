"""What never changes about a model, kept by name, so that a request for a prediction need not ask the ledger for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from bayes import Model, obstacle
from store.history import History
from store.values import DEFAULTS_SINCE

KEPT_MAX = 1000


@dataclass(frozen=True, eq=False)
class Known:
    """A model as predictions need it.

    `obstacle` says why no moments pass through it, None: they do. `is_steady` remembers, by method, samples and number
    of rows, whether rows that are computed together get the bytes that each gets alone, as they were seen to.
    """

    model: Model
    obstacle: str | None
    keeps: bool
    """Whether predictions are kept for later labels, where they do not say."""
    keep_seconds: float
    is_steady: dict[tuple[str, int | None, int], bool] = field(default_factory=dict)


class KnownModels:
    """The models asked for last. Safe for many threads at once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: OrderedDict[str, Known] = OrderedDict()
        self._lock = threading.Lock()

    def at_hand(self, name: str) -> Known | None:
        """The model, where it has been asked for before; at once."""
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found

    def find(self, name: str) -> Known:
        """The model, if need be from the ledger, which may take seconds.

        Raises:
            ModelNotFound: there is none of this name.
        """
        if (found := self.at_hand(name)) is not None:
            return found
        description = DEFAULTS_SINCE | self._history.model(name).description
        model, kept = Model.from_description(description), description["predictions"]
        known = Known(model, obstacle(model.family, model.network), kept["keep"], kept["seconds"])
        with self._lock:
            kept = self._kept.setdefault(name, known)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return kept
