"""The Python client and the command line of Posterity; they speak HTTP and import none of the service."""

from client.api_keys import Key, NewKey
from client.arrays import Given
from client.async_client import AsyncClient
from client.blobs import Blob
from client.calibrating import Calibration
from client.client import Client
from client.comparing import Branch, Comparison
from client.errors import (
    ClientProblem,
    Fault,
    ForgetUnfinished,
    HeadUndecided,
    KeyNotAllowed,
    KeyRefused,
    RateLimited,
    RowsLeftPending,
    ServiceProblem,
    UnexpectedAnswer,
    Unreachable,
    UnreadableFile,
    UnusableApiKey,
    UnusableArray,
    UnusableKey,
    UnusableUrl,
    UpdateUnpublished,
    WaitTimedOut,
)
from client.hooks import NewWebhook, Webhook
from client.labels import KeptPrediction, Labeled, RefusedLabel
from client.listening import Event
from client.moves import Alias, Move, Rollback
from client.prediction import Prediction
from client.values import Batch, Model, Readiness, Update, Version

__all__ = [
    "Alias",
    "AsyncClient",
    "Batch",
    "Blob",
    "Branch",
    "Calibration",
    "Client",
    "ClientProblem",
    "Comparison",
    "Event",
    "Fault",
    "ForgetUnfinished",
    "Given",
    "HeadUndecided",
    "KeptPrediction",
    "Key",
    "KeyNotAllowed",
    "KeyRefused",
    "Labeled",
    "Model",
    "Move",
    "NewKey",
    "NewWebhook",
    "Prediction",
    "RateLimited",
    "Readiness",
    "RefusedLabel",
    "Rollback",
    "RowsLeftPending",
    "ServiceProblem",
    "UnexpectedAnswer",
    "Unreachable",
    "UnreadableFile",
    "UnusableApiKey",
    "UnusableArray",
    "UnusableKey",
    "UnusableUrl",
    "Update",
    "UpdateUnpublished",
    "Version",
    "WaitTimedOut",
    "Webhook",
]
