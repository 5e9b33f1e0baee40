"""A version as one file, which other installations import and which this package reads alone.

It is a zip archive, nothing in it compressed: `posterior.safetensors`, the very bytes that the version's digest names;
`root.safetensors`, those of version 0, for updates that go back to it; `export.json`, which says what they are;
`state_dict.pt`, the mean weights for plain torch, which nobody here reads; and `weights.safetensors`, the weights w*
that a first chunk would choose its prior around, where the model's prior leaves it a choice.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from bayes.about import About, read_about
from bayes.errors import BayesError, InvalidDescription, NoStateDict, UnreadableExport
from bayes.lineage import Lineage
from bayes.model import Model
from bayes.posterior import Posterior, digest_of
from bayes.priors import WeightsPrior
from bayes.state_dicts import state_dict_bytes
from bayes.zips import pack, unpack

ABOUT, POSTERIOR, ROOT = "export.json", "posterior.safetensors", "root.safetensors"
STATE_DICT, WEIGHTS = "state_dict.pt", "weights.safetensors"

HEADER_BYTES_MAX = 4 * 2**20
"""Of a safetensors file: some ten times what the longest net needs."""


@dataclass(frozen=True, eq=False)
class Export:
    """A version learned elsewhere, verified: `predict` asks its posterior, `absorb` learns on with its model's recipe.

    Attributes:
        about: what its `export.json` says.
        model: its net, family and recipe.
        posterior: the version itself.
        root: version 0 of its line; of an exported version 0 that itself.
        weights: the bytes that the prior names, where the first chunk has to choose among its sigmas.
        posterior_bytes: as they were exported, and as `about.digest` names them; `root_bytes` likewise.
        about_bytes: the `export.json`.
    """

    about: About
    model: Model
    posterior: Posterior
    root: Posterior
    weights: bytes | None
    posterior_bytes: bytes
    root_bytes: bytes
    about_bytes: bytes

    @property
    def lineage(self) -> Lineage:
        """The versions from the root to this one."""
        return self.about.lineage


def load_export(source: str | PathLike[str] | bytes) -> Export:
    """The exported version in this file, or in these bytes; its digests were compared.

    Raises:
        UnreadableExport: it is none, or something in it is not what it says.
        OSError: the file cannot be read.
    """
    return read_export(source if isinstance(source, bytes) else Path(source).read_bytes())


def write_export(about: About, *, posterior: bytes, root: bytes, weights: bytes | None = None) -> bytes:
    """The archive of a version; the same version makes the same bytes. It has no `state_dict.pt` where there is none.

    `weights` are needed where `needs_weights` says so of the model.

    Raises:
        UnreadablePosterior: the bytes of the posterior are none.
    """
    files = {ABOUT: about.to_bytes(), POSTERIOR: posterior}
    if not about.is_root:
        files[ROOT] = root
    if weights is not None:
        files[WEIGHTS] = weights
    with suppress(NoStateDict):
        files[STATE_DICT] = state_dict_bytes(Posterior.from_bytes(posterior))
    return pack(files)


def needs_weights(model: Model) -> bool:
    """True where the first chunk of a line reads the weights that the prior names; no later one does."""
    return model.is_on_grid


def read_export(raw: bytes) -> Export:
    """The exported version of these bytes.

    Raises:
        UnreadableExport: they are none, or something in it is not what it says.
    """
    try:
        files = unpack(raw, required=(ABOUT, POSTERIOR), optional=(ROOT, STATE_DICT, WEIGHTS))
    except ValueError as fault:
        raise UnreadableExport(str(fault)) from fault
    about = read_about(files[ABOUT])
    model = _model(about.description)
    if (ROOT in files) == about.is_root:
        raise UnreadableExport(f"{ROOT} must be there for every version but a root")
    root_bytes = files.get(ROOT, files[POSTERIOR])
    posterior = _posterior(files[POSTERIOR], POSTERIOR, about.digest, model)
    root = posterior if about.is_root else _posterior(root_bytes, ROOT, about.root_digest, model)
    if root.chunks or bool(posterior.chunks) == about.is_root:
        raise UnreadableExport("the posteriors have learned from more or fewer chunks than the lineage has")
    return Export(
        about=about,
        model=model,
        posterior=posterior,
        root=root,
        weights=_weights(files, model),
        posterior_bytes=files[POSTERIOR],
        root_bytes=root_bytes,
        about_bytes=files[ABOUT],
    )


def _model(description: Mapping[str, Any]) -> Model:
    """The model of a resolved description.

    Raises:
        UnreadableExport: it describes none, or leaves something out that this release would choose.
    """
    try:
        model = Model.from_description(description)
    except InvalidDescription as fault:
        raise UnreadableExport(f"its description is not readable: {fault}") from fault
    for key, value in model.to_description().items():
        if description.get(key) != value:
            raise UnreadableExport(f"its description leaves something of {key!r} to the release that reads it")
    return model


def _posterior(data: bytes, name: str, digest: str, model: Model) -> Posterior:
    if (found := digest_of(data)) != digest:
        raise UnreadableExport(f"{name} has the digest {found}; export.json says {digest}")
    if int.from_bytes(data[:8], "little") > HEADER_BYTES_MAX:
        raise UnreadableExport(f"{name} has a header of more than {HEADER_BYTES_MAX} bytes")
    try:
        posterior = Posterior.from_bytes(data)
    except BayesError as fault:
        raise UnreadableExport(f"{name}: {fault}") from fault
    described = (model.family, model.net, model.input, model.output)
    if (posterior.family, posterior.net, posterior.input, posterior.output) != described:
        raise UnreadableExport(f"{name} is a posterior of another family, net, input or output than the description")
    return posterior


def _weights(files: Mapping[str, bytes], model: Model) -> bytes | None:
    weights = files.get(WEIGHTS)
    if (weights is not None) != needs_weights(model):
        raise UnreadableExport(f"{WEIGHTS} must be there where the prior has sigmas to choose from, and only there")
    if weights is not None and isinstance(model.prior, WeightsPrior) and digest_of(weights) != model.prior.blob:
        raise UnreadableExport(f"{WEIGHTS} has the digest {digest_of(weights)}; the prior names {model.prior.blob}")
    return weights
