"""What the service refuses by itself, as one tree with the refusals of the store (store.errors)."""

from __future__ import annotations

from collections.abc import Sequence

from service.faults import FAULTS_MAX, Fault
from store.errors import Problem


class Rejected(Problem):
    """Root of the service's refusals; `faults` lists what is wrong where, when there is more to say than the detail."""

    def __init__(self, *, faults: Sequence[Fault] = (), **facts: object) -> None:
        self.faults = tuple(faults[:FAULTS_MAX])
        super().__init__(**facts)


class JsonInvalid(Rejected):
    code, status, title = "json-invalid", 400, "The body is not JSON"
    message = "The body cannot be read as JSON: {reason}."


class BodyInvalid(Rejected):
    code, status, title = "body-invalid", 422, "The body is not what this call takes"
    message = "{reason}. /docs shows the body that this call takes."


class QueryInvalid(Rejected):
    code, status, title = "query-invalid", 422, "A query parameter or header cannot be used"
    message = "{reason}. /docs shows the parameters that this call takes."


class DescriptionInvalid(Rejected):
    code, status, title = "description-invalid", 422, "No model can be made from this description"
    message = "{reason}. Nothing was created."


class ExportInvalid(Rejected):
    code, status, title = "export-invalid", 422, "The body is no exported version"
    message = "This cannot be imported: {reason}. Nothing was stored."


class PlainWeightsImpossible(Rejected):
    code, status, title = "plain-weights-impossible", 409, "No plain weights do what the version does"
    message = "A state_dict of model '{model}' would not predict its labels: {reason}. Export the version as a zip."


class BlobNotFound(Rejected):
    code, status, title = "blob-not-found", 404, "No such blob"
    message = "There is no blob {digest}. A blob is named by the sha256 of its bytes; POST /v1/blobs keeps one."


class BlobUnknown(Rejected):
    code, status, title = "blob-unknown", 422, "The prior names bytes that are not here"
    message = "{where} names {digest}, which this service does not have. POST the bytes to /v1/blobs first."


class MediaTypeUnsupported(Rejected):
    code, status, title = "media-type-unsupported", 415, "The body has a media type that this call does not read"
    message = "This call reads {accepted}; the request says {found}."


class BodyTooLarge(Rejected):
    code, status, title = "body-too-large", 413, "The body is too large"
    message = (
        "The body has more than {bytes_max} bytes, the most this service accepts, sent or decompressed. Split it and "
        "send the parts."
    )


class BatchTooLarge(Rejected):
    code, status, title = "batch-too-large", 413, "Too many rows"
    message = "There are {rows} rows; of this model the call accepts {rows_max} at once. Split them and send the parts."


class KeptTooLarge(Rejected):
    code, status, title = "kept-too-large", 413, "The prediction is too large to be kept"
    message = (
        "The {what} {nbytes} bytes; of one prediction this service keeps {bytes_max}. Split the inputs and send the "
        "parts, or send keep: false."
    )


class LabelsTooLarge(Rejected):
    code, status, title = "labels-too-large", 413, "The labels are for too many inputs at once"
    message = (
        "The inputs that these labels are for have {nbytes} bytes; a batch has at most {bytes_max}. Nothing was "
        "stored: split the labels and send the parts."
    )


class BatchEmpty(Rejected):
    code, status, title = "batch-empty", 422, "No rows"
    message = "The body has no rows. Send at least one."


class JsonTooLarge(Rejected):
    code, status, title = "json-too-large", 413, "The JSON has too many values"
    message = "The JSON has more than {reason}."

    VALUES = (
        "{values_max:,} values, a list counting as {of_list}: send the rows as base64, safetensors or npz, or split "
        "them and send the parts"
    )
    MEMBERS = "{members_max:,} members in its objects, and no call takes so many fields: /docs shows those it takes"


class IdempotencyKeyMissing(Rejected):
    code, status, title = "idempotency-key-missing", 400, "The Idempotency-Key header is missing"
    message = (
        "A batch needs an Idempotency-Key header: a name of your choice for these rows, the same when you send them "
        "again, so that they are counted once."
    )


class IdempotencyKeyInvalid(Rejected):
    code, status, title = "idempotency-key-invalid", 400, "The Idempotency-Key header cannot be used"
    message = 'An Idempotency-Key has 1 to {length_max} printable ASCII characters, bare or in double quotes ("…").'


class InputShape(Rejected):
    code, status, title = "input-shape", 422, "The inputs have another shape than the model"
    message = "The inputs must have the shape {expected}; got {found}."


class InputDtype(Rejected):
    code, status, title = "input-dtype", 422, "The inputs have another type than the model"
    message = "The inputs must be {expected}; got {found}."


class InputNotFinite(Rejected):
    code, status, title = "input-not-finite", 422, "The inputs hold NaN or infinity"
    message = "Row {row} of the inputs holds {found}. Every input must be a finite float32 number."


class InputTooLarge(Rejected):
    code, status, title = "input-too-large", 422, "The inputs are too large for the net"
    message = "{reason}. Nets compute with float32, and need inputs of about the same scale: declare mean and std."


class LabelShape(Rejected):
    code, status, title = "label-shape", 422, "The labels have another shape than the inputs ask for"
    message = "The labels must have the shape {expected}; got {found}."


class LabelDtype(Rejected):
    code, status, title = "label-dtype", 422, "The labels have another type than the model"
    message = "The labels must be {expected}; got {found}."


class LabelOutOfRange(Rejected):
    code, status, title = "label-out-of-range", 422, "A label is outside what the model knows"
    message = "The label of row {row} is {found}; the labels of this model are {expected}."


class WeightsInvalid(Rejected):
    code, status, title = "weights-invalid", 422, "The weights cannot be used"
    message = "The weights must be one number from 0 to 1e6 per row, not all 0; got {found}."


class SamplesTooMany(Rejected):
    code, status, title = "samples-too-many", 422, "Too many weight draws"
    message = "{samples} draws were asked for; of this model the service makes at most {samples_max} at a time."


class IntervalOfClasses(Rejected):
    code, status, title = "interval-of-classes", 422, "Classes have no intervals"
    message = "An interval was asked for; this model predicts classes, and only predictions of numbers have intervals."


class KeyMissing(Rejected):
    code, status, title = "key-missing", 401, "A key is asked for"
    message = (
        "This service asks who you are, and the request does not say. Send a key of yours as 'Authorization: Bearer "
        "posterity_…'."
    )


class KeyInvalid(Rejected):
    code, status, title = "key-invalid", 401, "The key does not open anything"
    message = (
        "The key in the Authorization header is none of this service, or no longer one. Send one that it knows as "
        "'Authorization: Bearer posterity_…'."
    )


class KeyNotAllowed(Rejected):
    code, status, title = "key-not-allowed", 403, "The key does not allow this"
    message = "{reason}. Use another key, or ask for one."


class RateLimited(Rejected):
    code, status, title = "rate-limited", 429, "Too many requests with this key"
    message = (
        "The key '{name}' may send {requests_per_minute} requests per minute to one service. Nothing was done; send it "
        "again in {seconds} seconds."
    )


class NotFound(Rejected):
    code, status, title = "not-found", 404, "Nothing is here"
    message = "There is nothing at {path}. /docs lists what there is."


class MethodNotAllowed(Rejected):
    code, status, title = "method-not-allowed", 405, "This cannot be done here"
    message = "{method} is not possible at {path}. /docs lists what is."


class RequestInvalid(Rejected):
    code, status, title = "request-invalid", 400, "The request is no HTTP"
    message = "{reason}, so it is no request of HTTP/1.1, and the connection ends."


class HeadTooLarge(Rejected):
    code, status, title = "head-too-large", 431, "The headers are too large"
    message = (
        "The request line and the headers have more than {bytes_max} bytes, or are more than {headers_max} headers. "
        "Rows belong into the body of a POST."
    )


class RequestLate(Rejected):
    code, status, title = "request-late", 408, "The request did not come in time"
    message = "The rest of the request did not come in time, and the connection ends. Send it again, without pauses."


class HostUnknown(Rejected):
    code, status, title = "host-unknown", 421, "The service is not known by this name"
    message = (
        "The request is for the host {host}, and this service answers to {names} only, so that no web page can reach "
        "it by a name of its own. Ask it by one of these, or name the host in POSTERITY_HOSTS."
    )


class OriginForeign(Rejected):
    code, status, title = "origin-foreign", 403, "A page of another origin may not call this"
    message = (
        "The request comes from a web page of {origin}, which is not this service's. Name its host in POSTERITY_HOSTS "
        "if its pages may call the service."
    )


class Unavailable(Rejected):
    code, status, title = "unavailable", 503, "The service cannot answer at the moment"
    message = "{reason}. Nothing was lost; send the request again in a moment."


class Overloaded(Rejected):
    code, status, title = "overloaded", 503, "Too many requests are waiting"
    message = "{waiting} wait already, as many as this service keeps. Send the request again in a moment."


class PredictionLate(Rejected):
    code, status, title = "prediction-late", 503, "The prediction came to its deadline"
    message = "No answer was ready in time: too much is asked at once, or too many rows. Send it again, or in parts."


class Internal(Rejected):
    code, status, title = "internal", 500, "The service failed"
    message = "This is a fault of the service, not of the request. Its log says more."
