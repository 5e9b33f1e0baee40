"""Rows as they were posted, in whichever encoding; what they must be for a model is in rows.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from bayes import Input, Output
from service.asked import Way
from service.bodies import Array, Posted, parse, parse_list, parse_rows, tensors_of
from service.encodings import BodyKind, Encoding
from service.images import images_of
from service.multipart import form_of
from service.npy import array_of_npy, arrays_of_npz
from service.raw_tensors import split, tensors_in
from service.rows import Rows, inputs_of, labels_of, owned, rows_of, rows_of_json
from service.schemas import CalibrationBody, ComparisonBody, PredictionBody, RawBatchHeader, RawPredictionHeader

FIELDS = {"y": "labels", "weights": "weights"}
"""The fields of a form, by the names that their tensors have elsewhere."""


def prediction_posted(
    raw: bytes, *, kind: BodyKind, of: Input, way: Way, rows_max: int, bytes_max: int
) -> tuple[Posted, Way]:
    """The inputs of a prediction, and how to predict them: as the body says, or where it does not, as `way`.

    Raises:
        JsonInvalid, BodyInvalid, QueryInvalid: the body is not what its headers say.
        BodyTooLarge: it is more than so many bytes once it is decompressed.
        BatchTooLarge, InputShape: it is images, and they are too many, or not of the model's size.
    """
    if kind.encoding is Encoding.JSON:
        body = parse_rows(PredictionBody, raw, of=of)
        return body.inputs, way.or_by(body)
    if kind.encoding is Encoding.RAW:
        head, data = split(raw, kind.header_length)
        header = parse(RawPredictionHeader, head)
        if header.parameters is not None:
            way = way.or_by(header.parameters)
        return tensors_in(data, header.inputs, required=("x",))["x"], way
    takes = _Takes(("x",), (), of, rows_max, bytes_max)
    return _tensors(raw, kind, takes)["x"], way


def batch_posted(raw: bytes, *, kind: BodyKind, of: Input, labeled: Output, rows_max: int, bytes_max: int) -> Rows:
    """The labeled rows of a batch, as the model declares them.

    Raises:
        Rejected: the body is not what its headers say, or its rows are none of this model; each class says which.
    """
    if kind.encoding is Encoding.JSON:
        return rows_of_json(raw, of=of, labeled=labeled, rows_max=rows_max)
    takes = _Takes(("x", "y"), ("weights",), of, rows_max, bytes_max)
    if kind.encoding is Encoding.RAW:
        head, data = split(raw, kind.header_length)
        described = parse(RawBatchHeader, head).inputs
        return _rows(tensors_in(data, described, required=takes.required, optional=takes.optional), takes, labeled)
    return _rows(_tensors(raw, kind, takes), takes, labeled)


def comparison_posted(
    raw: bytes, *, kind: BodyKind, of: Input, labeled: Output, rows_max: int, bytes_max: int
) -> tuple[Array, Array | None]:
    """The rows of a comparison as the model declares them, and their labels where it has some; no views of the body.

    Raises:
        Rejected: the body is not what its headers say, or its rows are none of this model; each class says which.
    """
    tensors = _labeled(raw, kind, _Takes(("x",), ("y",), of, rows_max, bytes_max), ComparisonBody)
    inputs = inputs_of(tensors["x"], of=of, rows_max=rows_max)
    return inputs, owned(labels_of(tensors["y"], labeled, len(inputs))) if "y" in tensors else None


def calibration_posted(
    raw: bytes, *, kind: BodyKind, of: Input, labeled: Output, rows_max: int, bytes_max: int
) -> tuple[Array, Array]:
    """The rows of a calibration and their labels, as the model declares them; no views of the body.

    Raises:
        Rejected: the body is not what its headers say, or its rows are none of this model; each class says which.
    """
    tensors = _labeled(raw, kind, _Takes(("x", "y"), (), of, rows_max, bytes_max), CalibrationBody)
    inputs = inputs_of(tensors["x"], of=of, rows_max=rows_max)
    return inputs, owned(labels_of(tensors["y"], labeled, len(inputs)))


@dataclass(frozen=True)
class _Takes:
    """The tensors that a call takes, and how much of them."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    of: Input
    rows_max: int
    bytes_max: int


def _rows(tensors: Mapping[str, Posted], takes: _Takes, labeled: Output) -> Rows:
    return rows_of(tensors, of=takes.of, labeled=labeled, rows_max=takes.rows_max)


def _labeled(raw: bytes, kind: BodyKind, takes: _Takes, schema: type[ComparisonBody]) -> Mapping[str, Posted]:
    """x, and y where there is one, of a body whose JSON has this schema."""
    if kind.encoding is Encoding.JSON:
        body = parse_rows(schema, raw, of=takes.of)
        return {"x": body.inputs} if body.labels is None else {"x": body.inputs, "y": body.labels}
    if kind.encoding is Encoding.RAW:
        head, data = split(raw, kind.header_length)
        described = parse(RawBatchHeader, head).inputs
        return tensors_in(data, described, required=takes.required, optional=takes.optional)
    return _tensors(raw, kind, takes)


def _tensors(raw: bytes, kind: BodyKind, takes: _Takes) -> Mapping[str, Posted]:
    """The tensors of a body that is neither JSON nor begins with it."""
    match kind.encoding:
        case Encoding.SAFETENSORS:
            return tensors_of(raw, required=takes.required, optional=takes.optional)
        case Encoding.NPZ:
            return arrays_of_npz(raw, required=takes.required, optional=takes.optional, bytes_max=takes.bytes_max)
        case Encoding.NPY:
            return {"x": array_of_npy(raw, where="body")}
        case Encoding.PNG | Encoding.JPEG:
            return {"x": images_of([raw], of=takes.of, where="body", bytes_max=takes.bytes_max)}
        case Encoding.FORM:
            return _form(raw, kind.content_type, takes)
        case Encoding.JSON | Encoding.RAW:
            raise AssertionError(f"{kind.encoding} says more than tensors")
        case _:
            assert_never(kind.encoding)


def _form(raw: bytes, content_type: str, takes: _Takes) -> dict[str, Posted]:
    """x, from the images, and the tensors that came as fields."""
    required, optional = (
        tuple(FIELDS[name] for name in names if name != "x") for names in (takes.required, takes.optional)
    )
    form = form_of(raw, content_type, required=required, optional=optional, rows_max=takes.rows_max)
    tensors: dict[str, Posted] = {
        name: parse_list(bytes(form.fields[field]), field) for name, field in FIELDS.items() if field in form.fields
    }
    return tensors | {"x": images_of(form.images, of=takes.of, where="images", bytes_max=takes.bytes_max)}
