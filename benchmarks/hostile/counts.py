"""What a run of Schemathesis saw, read from the events that it wrote: answers by call and status, checks, failures."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


@dataclass
class Counts:
    """Sums over all runs that were read."""

    document: Json
    phases: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    """By call."""
    codes: Counter[str] = field(default_factory=Counter)
    checks: dict[str, Counter[str]] = field(default_factory=dict)
    """By name."""
    undocumented: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """Of checks, and of Schemathesis itself."""

    @property
    def cases(self) -> int:
        return self.phases.total()

    @property
    def server_errors(self) -> int:
        return sum(count for of in self.statuses.values() for status, count in of.items() if status >= "500")

    def read(self, events: Path) -> None:
        """The events of one run are counted as well."""
        with events.open() as lines:
            for line in lines:
                [(kind, event)] = json.loads(line).items()
                if kind == "ScenarioFinished":
                    self._read_scenario(event)
                elif kind in {"NonFatalError", "FatalError"}:
                    self.failures.append(f"{kind}: {json.dumps(event)[:1000]}")

    def _read_scenario(self, event: Json) -> None:
        recorder = event["recorder"]
        for case, interaction in recorder.get("interactions", {}).items():
            self.phases[event["phase"]] += 1
            asked, answer = recorder["cases"][case]["value"], interaction.get("response")
            if answer is None:
                self.failures.append(f"no answer: {json.dumps(interaction)[:1000]}")
                continue
            self._count(asked["method"], asked["path"], answer)
        for case, checks in recorder.get("checks", {}).items():
            for check in checks:
                self.checks.setdefault(check["name"], Counter())[check["status"]] += 1
                if check["status"] != "success":
                    of = json.dumps(recorder["interactions"][case])[:2000]
                    self.failures.append(f"{check['name']} at {recorder['label']}: {json.dumps(check)[:600]} {of}")

    def _count(self, method: str, path: str, answer: Json) -> None:
        call, status = f"{method} {path}", str(answer["status_code"])
        self.statuses.setdefault(call, Counter())[status] += 1
        if status >= "400":
            self.codes[_code(answer)] += 1
        documented = self.document["paths"][path].get(method.lower())
        if status not in (("405",) if documented is None else documented["responses"]):
            self.undocumented[f"{call}: {status}"] += 1

    def figures(self) -> dict[str, Any]:
        """All counts, in order."""
        return {
            "cases": self.cases,
            "phases": dict(self.phases),
            "server_errors": self.server_errors,
            "undocumented_statuses": dict(sorted(self.undocumented.items())),
            "failures": len(self.failures),
            "checks": {name: dict(of) for name, of in sorted(self.checks.items())},
            "codes": dict(sorted(self.codes.items())),
            "statuses": {call: dict(sorted(of.items())) for call, of in sorted(self.statuses.items())},
        }


def _code(answer: Json) -> str:
    named = {name.lower(): values for name, values in answer.get("headers", {}).items()}
    if stated := named.get("posterity-code"):
        return str(stated[0])
    content = answer["content"]
    body = base64.b64decode(content["$base64"]) if isinstance(content, dict) else str(content).encode()
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):
        return "no problem"
