"""`posterity blobs`: weights for the priors of models to start from."""

from pathlib import Path
from typing import Annotated

import typer

from client.commands.options import LOCAL, AsJson, Url, contents, service_at
from client.tables import print_resource, tensors_table

app = typer.Typer(no_args_is_help=True, help="Keep weights for the priors of models; show what is kept.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A safetensors file; - for stdin.")]
Digest = Annotated[str, typer.Argument(metavar="BLOB", help="The digest that `put` printed.")]


@app.command("put")
def put_blob(file: File, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Keep a safetensors file under the digest of its bytes; the same again changes nothing.

    Weights are named after the layers of the net: conv1.weight, conv1.bias, dense1.weight, … A Laplace prior also
    wants old rows: the array x.
    """
    with service_at(url) as client:
        print_resource(client.upload(contents(file), progress=True), tensors_table, as_json=as_json)


@app.command("show")
def show_blob(blob: Digest, url: Url = LOCAL, as_json: AsJson = False) -> None:
    """Show the tensors of a blob, or of a version or a batch, by its digest."""
    with service_at(url) as client:
        print_resource(client.blob(blob), tensors_table, as_json=as_json)
