"""How a command ends: 0 done, 1 the world refuses, 2 typed wrongly, 3 a fault of ours, 130 interrupted; in one line."""

import errno
import json
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from client.commands.grouped import ORDER
from client.errors import ClientProblem, ServiceProblem
from client.values import Json

REFUSED, TYPED_WRONGLY, OURS, INTERRUPTED = 1, 2, 3, 130


class Commands(TyperGroup):
    """All commands; whatever ends one early is a readable line on stderr, or a JSON object under --json."""

    _as_json = False

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:  # noqa: ANN401
        # Before anything can go wrong with the words that were typed.
        self._as_json = "--json" in args
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except typer.TyperException as error:
            raise self._typed_wrongly(error) from error

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the signature of typer's group.
        try:
            return super().invoke(ctx)
        except ClientProblem as problem:
            self._tell(facts_of(problem), " ".join([str(problem), *_notes(problem)]))
            raise typer.Exit(REFUSED) from problem
        except typer.TyperException as error:
            raise self._typed_wrongly(error) from error
        except KeyboardInterrupt as error:
            said = "interrupted; what the service has accepted stays accepted"
            if notes := _notes(error):
                said = f"interrupted. {' '.join(notes)}"
            self._tell({"code": "interrupted", "title": "Interrupted", "detail": said, "next": "ask again"}, said)
            raise typer.Exit(INTERRUPTED) from error
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise self._fault_of_ours(error) from error

    def _typed_wrongly(self, error: typer.TyperException) -> Exception:
        if not self._as_json:
            return error
        said = error.format_message()
        facts = {"code": "usage", "title": "Typed wrongly", "detail": said, "next": "add --help for what it takes"}
        self._tell(facts, said)
        return typer.Exit(TYPED_WRONGLY)

    def _fault_of_ours(self, error: Exception) -> Exception:
        with tempfile.NamedTemporaryFile("w", prefix="posterity-", suffix=".log", delete=False) as file:
            file.write("".join(traceback.format_exception(error)))
        detail = f"a fault of this program, and none of yours: {type(error).__name__}: {error}"
        advice = f"report it, with the file {Path(file.name)}"
        facts = {"code": "internal-here", "title": "A fault of the client", "detail": detail, "next": advice}
        self._tell(facts, f"{detail}. Next: {advice}.")
        return typer.Exit(OURS)

    def _tell(self, facts: Json, line: str) -> None:
        if self._as_json:
            typer.echo(json.dumps(facts), err=True)
        else:
            one_line = " ".join(f"posterity: {line}".split("\n"))
            Console(stderr=True, highlight=False, markup=False).print(one_line, soft_wrap=True)


def facts_of(problem: ClientProblem) -> Json:
    """The problem for programs: code, title, detail, next; of the service's also status and where it is."""
    facts: Json = {"code": problem.code, "title": problem.title, "detail": problem.detail, "next": problem.next}
    if isinstance(problem, ServiceProblem):
        facts["status"] = problem.status
        facts["errors"] = [{"where": fault.where, "message": fault.message} for fault in problem.errors]
    if notes := _notes(problem):
        facts["notes"] = list(notes)
    return facts


def _notes(error: BaseException) -> Sequence[str]:
    return getattr(error, "__notes__", ())
