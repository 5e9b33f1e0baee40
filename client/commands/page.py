"""`python -m client.commands.page`: docs/command-line.md, as the commands themselves say it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from client.cli import app
from client.commands.grouped import EXAMPLE, GROUPS

INTRODUCTION = """\
# The command line

`posterity` speaks to a service over HTTP, and looks after one on its own machine. This page is what the commands say of
themselves (`posterity COMMAND --help`), written by `python -m client.commands.page`; the examples are one story, and a
test performs it. It begins with a service (`posterity serve`) and a CSV, `flowers.csv`:

```
petal length,petal width,species
4.94,1.12,iris
2.13,3.86,rose
```

**Which service.** `--url`, or `POSTERITY_URL`, or http://127.0.0.1:8000. Where keys were made, the one in
`POSTERITY_KEY`, or in the file that `POSTERITY_KEY_FILE` names, is shown; no option takes a key, as everybody on a
machine can read the words of a command.

**For programs.** With `--json` a command prints the service's own JSON on stdout, and nothing else; an error is one
JSON object on stderr, with `code`, `title`, `detail` and `next` (what to do), and of the service's also `status` and
`errors` (`where`, `message`). The codes are those of [the contract](api.md#problems), and a few of the client's own,
such as `unreachable` and `file-unreadable`. Commands that become another process (those that serve, migrate, copy and
collect) print what that prints. Progress bars are drawn on a terminal's stderr and nowhere else; `NO_COLOR` is kept to.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | refused, failed, or not there: what was said on stderr ends in what to do next |
| 2 | typed wrongly |
| 3 | a fault of this program; a file that is named has its traceback |
| 130 | interrupted; what the service had accepted stays accepted |

**Completion.** `posterity --install-completion` once, for bash, zsh, fish or PowerShell (`--show-completion` prints the
script). The names of models and aliases are asked of the service, if it answers within half a second.

**Rows.** A file is npz, npy, safetensors, JSON or CSV, an image (PNG, JPEG and others), a folder of images, a CSV
whose column `file` names images, or `-` for stdin. A CSV may have commas, semicolons, tabs or bars, quotes, a byte
order mark, and a header or none; decimals have a point. Where a model has names for its columns
(`describe` gives it those of the header), they are found by them, in whatever order and beside whatever else; without
names they are taken in their order, or as `--columns` names them, without `--label`, `--drop` and the index of pandas.

**Nothing is counted twice.** The idempotency key of a file is made of its bytes, and the parts of a large one have keys
that follow from it, so an `ingest` that was cut short is run again as it was.
"""


def page() -> str:
    """The whole page, as Markdown."""
    root: Any = typer.main.get_command(app)
    parts = [INTRODUCTION]
    for title, commands in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in commands:
            command = root
            for word in name.split():
                command = command.commands[word]
            parts.append("\n".join(_section(name, command)))
    return "\n".join(parts).rstrip() + "\n"


def _section(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - typer's own.
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one for one in command.params if one.param_type_name == "option" and not one.hidden and one.name != "help"
    ]
    words = " ".join([name, *(one.metavar for one in arguments), *(["[OPTIONS]"] if options else [])])
    yield f"### `posterity {words}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield f"```\n{EXAMPLE[name]}\n```\n"
    rows = [(one.metavar, one.help) for one in arguments] + [(_called(one), one.help) for one in options]
    if rows:
        yield "| | |\n| --- | --- |"
        yield from (f"| `{_cell(called)}` | {_cell(said or '')} |" for called, said in rows)
        yield ""


def _called(option: Any) -> str:  # noqa: ANN401
    flags = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return flags
    choices = getattr(option.type, "choices", None)
    kind = "|".join(map(str, choices)) if choices else re.sub(r" RANGE$", "", option.type.name.upper())
    return f"{flags} {kind}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    typer.echo(page(), nl=False)
