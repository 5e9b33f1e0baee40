"""Refusals of requests that are valid by the schemas of the OpenAPI document: codes, and why no schema could say so."""

from __future__ import annotations

OF_THE_MODEL = "what rows may be depends on the model that they are for"
OF_PARTS = "whether the parts of a description fit each other is no matter of types"
OF_STATE = "it depends on what happened before"
OF_SETTINGS = "it depends on the settings of the service"

REASONS = {
    "input-shape": OF_THE_MODEL,
    "input-dtype": OF_THE_MODEL,
    "input-not-finite": OF_THE_MODEL,
    "input-too-large": OF_THE_MODEL,
    "label-shape": OF_THE_MODEL,
    "label-dtype": OF_THE_MODEL,
    "label-out-of-range": OF_THE_MODEL,
    "weights-invalid": OF_THE_MODEL,
    "interval-of-classes": OF_THE_MODEL,
    "batch-empty": "base64 and files may hold no rows",
    "description-invalid": OF_PARTS,
    "blob-unknown": OF_STATE,
    "alias-moved": OF_STATE,
    "idempotency-key-reused": OF_STATE,
    "key-unusable": "names that the service uses itself, and patterns without sense, are taken by no key",
    "samples-too-many": OF_SETTINGS,
    "kept-too-large": OF_SETTINGS,
    "labels-too-large": OF_SETTINGS,
    "webhook-unusable": OF_SETTINGS,
    "webhooks-too-many": OF_STATE,
    "export-invalid": "a schema sees no bytes in archives",
    "batch-too-large": OF_SETTINGS,
    "alias-invalid": "a name that is read may be any, one that is made may not",
    "query-invalid": "cursors are opaque, some parameters exclude each other, batches repeat, a header counts the body",
    "body-invalid": "a schema sees no bytes in files and base64, and takes 1.0 for whole, which the service does not",
    "json-invalid": "JSON that is part of a form or stands before raw tensors is bytes to the schema",
}
