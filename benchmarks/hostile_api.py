"""The service under requests made by a machine: `python -m benchmarks.hostile_api` writes results/hostile_api.json.

Schemathesis reads the OpenAPI document and asks a service process with one worker what the document allows and what it
does not: its examples, the borders of every schema, random values, and chains of calls along the document's links.
Every check is on; what two of them take for wrong is in benchmarks/hostile, with its reasons. Every answer has to have
a status that the document has for its call, and none may be 500 or above.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.figures import Claim
from benchmarks.hostile.reasons import REASONS
from benchmarks.hostile.run import attack
from benchmarks.live import report
from benchmarks.live.processes import ROOT, service

CASES, SEED, EXAMPLES = 10_000, 1, 200
SETTINGS = {"threads": 1, "worker_nice": 0, "lease_seconds": 2.0, "body_bytes_max": 2**16, "rows_max": 100}


def main() -> int:
    """1 where a check failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="at least so many requests")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--postgres", metavar="URL", help="an empty, migrated database, instead of SQLite")
    given = parser.parse_args()
    stated = {"database_url": given.postgres} if given.postgres else {}
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        headers = with_a_key(data_dir, **stated)
        with service(data_dir, workers=1, **SETTINGS, **stated) as server:
            counts = attack(
                server.url, Path(folder), cases=given.cases, seed=given.seed, examples=EXAMPLES, headers=headers
            )
    result = {
        "what": "requests of Schemathesis by call and status, and outcomes of its checks",
        "schemathesis": version("schemathesis"),
        "seed": given.seed,
        "database": "postgresql" if given.postgres else "sqlite",
        **record.surroundings(),
        **counts.figures(),
        "reasons": REASONS,
    }
    report.finish("hostile_api", result, claims(result), quick=given.cases < CASES)
    for failure in counts.failures[:20]:
        print(failure)
    return 0 if all(claim.holds for claim in claims(result)) else 1


def with_a_key(data_dir: Path, **stated: str) -> dict[str, str]:
    """The headers of who may do everything, by a key that is made before the service starts.

    Schemathesis makes keys of its own, and the first of them would close the door to it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    named = {f"POSTERITY_{name.upper()}": value for name, value in stated.items()}
    environment = os.environ | {"POSTERITY_DATA_DIR": str(data_dir)} | named
    scopes = [word for scope in ("admin", "ingest", "predict") for word in ("--scope", scope)]
    command = [sys.executable, "-m", "store", "keys", "create", "hostile", *scopes]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    return {"Authorization": f"Bearer {done.stdout.strip()}"}


def claims(result: Mapping[str, Any]) -> list[Claim]:
    """Which bounds the run keeps."""
    failed, undocumented = result["failures"], sum(result["undocumented_statuses"].values())
    found = f"{result['server_errors']}, {undocumented}, {failed} of {result['cases']:,}"
    checks = len(result["checks"])
    return [
        Claim(
            f"Requests that Schemathesis makes of the OpenAPI document, {checks} checks: answers of 500 and above, "
            "undocumented statuses, failed checks",
            f"{found} on {result['database']}",
            "0, 0, 0",
            result["server_errors"] == undocumented == failed == 0,
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
