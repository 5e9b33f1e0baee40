"""Forms with files (RFC 7578) as their parts: images in their order, and fields by name, where they lie in the body."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.bodies import invalid_body
from service.rejected import BatchTooLarge, QueryInvalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# It warns of every damaged form; the refusal says the same, and to whom it matters.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

IMAGES = {"image", "images"}

BOUNDARY_BYTES_MAX = 70
"""RFC 2046, section 5.1.1."""

HEADERS_MAX, HEADER_BYTES_MAX, PARAMETERS_MAX = 8, 1024, 16
"""Of one part, of one of its headers, and in that: a header is taken apart in a time that grows with its semicolons."""


@dataclass(frozen=True)
class Form:
    images: list[memoryview] = field(default_factory=list)
    fields: dict[str, memoryview] = field(default_factory=dict)


def form_of(
    raw: bytes, content_type: str, *, required: tuple[str, ...], optional: tuple[str, ...], rows_max: int
) -> Form:
    """The form: views of the body, and no more of them than there may be rows and fields.

    Raises:
        QueryInvalid: the Content-Type does not name the boundary between the parts.
        BodyInvalid: it is no form, is cut off, or has other parts than images and these fields.
        BatchTooLarge: it has more images than rows are taken.
    """
    boundary = _parameters(content_type).get(b"boundary", b"")
    if not 1 <= len(boundary) <= BOUNDARY_BYTES_MAX:
        raise QueryInvalid(reason="Content-Type: must name the boundary between the parts of the form")
    reader = _Reader(raw, (*required, *optional), rows_max)
    try:
        parser = MultipartParser(
            boundary, reader.callbacks(), max_header_count=HEADERS_MAX, max_header_size=HEADER_BYTES_MAX
        )
        parser.write(raw)
    except FormParserError as error:
        raise invalid_body("body", f"is no form: {error}") from None
    if not reader.is_whole:
        raise invalid_body("body", "is a form that is cut off")
    for name in required:
        if name not in reader.form.fields:
            raise invalid_body(name, "is missing among the parts of the form")
    return reader.form


def _parameters(header: str) -> dict[bytes, bytes]:
    """What a header says behind its value; nothing where that is more than anybody has to say."""
    if len(header) > HEADER_BYTES_MAX or header.count(";") > PARAMETERS_MAX:
        return {}
    return parse_options_header(header)[1]


class _Reader:
    """Puts the form together from what the parser finds in a body that it is given at once."""

    def __init__(self, raw: bytes, names: tuple[str, ...], rows_max: int) -> None:
        self.form = Form()
        self.is_whole = False
        self._view, self._names, self._rows_max = memoryview(raw), names, rows_max
        self._begin()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_headers_finished": self._name_part,
            "on_part_data": self._data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._header, self._name, self._content = b"", "", self._view[:0]
        self._disposition = b""

    def _header_field(self, raw: bytes, start: int, end: int) -> None:
        self._header = raw[start:end].lower()

    def _header_value(self, raw: bytes, start: int, end: int) -> None:
        if self._header == b"content-disposition":
            self._disposition = raw[start:end]

    def _name_part(self) -> None:
        self._name = _parameters(self._disposition.decode("latin-1")).get(b"name", b"").decode("utf-8", "replace")
        if self._name in IMAGES:
            if len(self.form.images) == self._rows_max:
                raise BatchTooLarge(rows=f"more than {self._rows_max}", rows_max=self._rows_max)
        elif self._name not in self._names:
            takes = ", ".join(("images", *self._names))
            raise invalid_body(self._name[:100] or "a part", f"is no part of this form, which takes {takes}")
        elif self._name in self.form.fields:
            raise invalid_body(self._name, "comes twice")

    def _data(self, _raw: bytes, start: int, end: int) -> None:
        self._content = self._view[start:end]

    def _end_part(self) -> None:
        if self._name in IMAGES:
            self.form.images.append(self._content)
        else:
            self.form.fields[self._name] = self._content

    def _end(self) -> None:
        self.is_whole = True
