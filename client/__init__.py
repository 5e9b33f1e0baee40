"""The Python client and the command line of Posterity; they speak HTTP and import none of the service."""

from client.client import AsyncClient, Client
from client.errors import (
    ClientProblem,
    Fault,
    RowsLeftPending,
    ServiceProblem,
    UnexpectedAnswer,
    Unreachable,
    UnusableArray,
    UnusableKey,
    UnusableUrl,
    UpdateUnpublished,
    WaitTimedOut,
)
from client.prediction import Prediction
from client.values import Alias, Batch, Blob, Comparison, Model, Move, Readiness, Rollback, Update, Version

__all__ = [
    "Alias",
    "AsyncClient",
    "Batch",
    "Blob",
    "Client",
    "ClientProblem",
    "Comparison",
    "Fault",
    "Model",
    "Move",
    "Prediction",
    "Readiness",
    "Rollback",
    "RowsLeftPending",
    "ServiceProblem",
    "UnexpectedAnswer",
    "Unreachable",
    "UnusableArray",
    "UnusableKey",
    "UnusableUrl",
    "Update",
    "UpdateUnpublished",
    "Version",
    "WaitTimedOut",
]
