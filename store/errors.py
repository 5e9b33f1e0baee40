"""Everything the store can refuse, as one tree: a stable code, an HTTP status, a message that says what to do."""

from __future__ import annotations

from datetime import UTC, datetime


class Problem(Exception):  # noqa: N818 - named as RFC 9457 names it
    """Root of the errors that a caller can cause or meet; `str()` is the detail, `code` the name for programs."""

    code: str = "problem"
    status: int = 400
    title: str = "The request cannot be answered"
    message: str = "{detail}"

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.message.format(**facts))


class ModelNotFound(Problem):
    code, status, title = "model-not-found", 404, "No such model"
    message = "There is no model named '{model}'. GET /v1/models lists the ones that exist."


class BatchNotFound(Problem):
    code, status, title = "batch-not-found", 404, "No such batch"
    message = "Model '{model}' has no batch {batch}."


class UpdateNotFound(Problem):
    code, status, title = "update-not-found", 404, "No such update"
    message = "Model '{model}' has no update {update}."


class ChunkNotFound(Problem):
    code, status, title = "chunk-not-found", 404, "No such chunk"
    message = "Model '{model}' has no chunk {chunk}."


class VersionNotFound(Problem):
    code, status, title = "version-not-found", 404, "No such version"
    message = "Model '{model}' has no version {version}. GET /v1/models/{model}/versions lists the ones that exist."


class PredictionNotFound(Problem):
    code, status, title = "prediction-not-found", 404, "No such kept prediction"
    message = (
        "Model '{model}' keeps no prediction '{prediction}'. Predictions are kept when they are asked for with keep: "
        "true."
    )


class PredictionExpired(Problem):
    code, status, title = "prediction-expired", 404, "The prediction is kept no longer"
    message = (
        "The time for which prediction '{prediction}' of model '{model}' was kept is over. Post the inputs with their "
        "label as a batch, if you have them."
    )


class AliasNotFound(Problem):
    code, status, title = "alias-not-found", 404, "No such alias"
    message = "Model '{model}' has no alias '{alias}'{then}."

    def __init__(self, *, model: str, alias: str, at: float | None = None) -> None:
        """`at`: when it pointed nowhere, of an alias that there is at other times."""
        moment = "" if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        then = (
            moment and f" that pointed anywhere at {moment}. GET /v1/models/{model}/aliases/{alias}/history says when"
        )
        super().__init__(model=model, alias=alias, then=then)


class ModelExists(Problem):
    code, status, title = "model-exists", 409, "The name is taken by another model"
    message = (
        "A model named '{model}' exists with another description, or imported from another version. Choose another "
        "name, or send the same again."
    )


class IdempotencyKeyReused(Problem):
    code, status, title = "idempotency-key-reused", 422, "The idempotency key was used for other rows"
    message = (
        "The key '{key}' already names batch {batch} of model '{model}', which holds other rows. "
        "Send new rows under a new key; nothing was stored."
    )


class NothingPending(Problem):
    code, status, title = "nothing-pending", 409, "No rows are waiting"
    message = "Model '{model}' has no accepted rows outside a chunk. Post a batch first."


class UpdateFinished(Problem):
    code, status, title = "update-finished", 409, "What was to be cancelled has ended"
    message = "{what} of model '{model}' is {state}; only what is queued or running can be cancelled."


class ChunkBusy(Problem):
    code, status, title = "chunk-busy", 409, "The chunk is about to be absorbed"
    message = "Chunk {chunk} of model '{model}' already waits in update {update}. Wait for it, or cancel it first."


class AlreadyAbsorbed(Problem):
    code, status, title = "already-absorbed", 409, "The chunk is on the line already"
    message = (
        "Chunk {chunk} of model '{model}' is part of version {version}'s evidence. Absorbing it again would count "
        "it twice and make the model falsely sure."
    )


class NotOnLine(Problem):
    code, status, title = "not-on-line", 409, "Not an earlier version of head"
    message = (
        "Version {version} is not among the versions that head of model '{model}' (version {head}) was learned from. "
        "To point head at any version, PUT /v1/models/{model}/aliases/head."
    )


class HeadRequired(Problem):
    code, status, title = "head-required", 409, "head stays"
    message = "The alias 'head' of model '{model}' cannot be removed: updates start from it. Move it instead."


class AliasMoved(Problem):
    code, status, title = "alias-moved", 412, "The alias moved meanwhile"
    message = (
        "Alias '{alias}' of model '{model}' is at move {seq}, not {expected}. Read it again, and decide again "
        "whether it should move."
    )


class AliasInvalid(Problem):
    code, status, title = "alias-invalid", 422, "Not a name for an alias"
    message = "'{alias}' cannot name an alias: use 1 to 64 of a-z, 0-9, - and _, beginning with a letter."


class KeyExists(Problem):
    code, status, title = "key-exists", 409, "The name is taken by another key"
    message = (
        "A key named '{name}' was made before. Names are not used again, not even those of revoked keys: the history "
        "of the aliases names who moved them. Choose another."
    )


class KeyNotFound(Problem):
    code, status, title = "key-not-found", 404, "No such key"
    message = "There is no key named '{name}'. GET /v1/keys lists the ones that were made."


class KeyGiven(Problem):
    code, status, title = "key-given", 422, "A key was given where its name belongs"
    message = (
        "This is a key and not the name of one; it is {whose}, and counts as before. Give its name, which GET /v1/keys "
        "lists. What was sent as a path may stand in the logs of whatever it came through."
    )


class KeyUnusable(Problem):
    code, status, title = "key-unusable", 422, "No such key can be made"
    message = "{reason}. No key was made."


class WebhookNotFound(Problem):
    code, status, title = "webhook-not-found", 404, "No such webhook"
    message = "Model '{model}' has no webhook {webhook}. GET /v1/models/{model}/webhooks lists the ones that it has."


class WebhookUnusable(Problem):
    code, status, title = "webhook-unusable", 422, "Nothing can be sent to this address"
    message = "Events cannot be sent to this address: {reason}. No webhook was made."


class WebhooksTooMany(Problem):
    code, status, title = "webhooks-too-many", 409, "The model has as many webhooks as it may have"
    message = "Model '{model}' has {webhooks} webhooks, and no more are made. Remove those that nobody needs first."


class RollbackTooFar(Problem):
    code, status, title = "rollback-too-far", 409, "The line is shorter than that"
    message = "Head of model '{model}' (version {head}) has {earlier} earlier versions; it cannot go back by {steps}."


class HeadMoved(Problem):
    code, status, title = "head-moved", 409, "Head moved during the update"
    message = "Head of model '{model}' left version {prior}; update {update} waits to start from the new head."


class LeaseLost(Problem):
    code, status, title = "lease-lost", 409, "Another worker holds the update"
    message = (
        "Attempt {attempt} at update {update} of model '{model}' no longer holds the lease; its result is dropped."
    )


class BlobMissing(Problem):
    code, status, title = "blob-missing", 500, "Stored bytes are missing"
    message = "The blob {digest} is named in the ledger but is not in the store. Run 'posterity doctor'."


class BlobCorrupt(Problem):
    code, status, title = "blob-corrupt", 500, "Stored bytes are damaged"
    message = "The blob {digest} holds other bytes than its name says ({found}). Run 'posterity doctor'."


class BlobBuried(Problem):
    code, status, title = "blob-buried", 503, "Bytes of this content are being removed"
    message = "{digests} are being removed. Nothing was stored; send the request again in {seconds} s."

    def __init__(self, *, digests: list[str], seconds: int = 1) -> None:
        self.digests = digests
        self.seconds = seconds
        super().__init__(digests=", ".join(digests), seconds=seconds)


class BatchWaiting(Problem):
    code, status, title = "batch-waiting", 409, "The rows wait to be learned from"
    message = (
        "Batch {batch} of model '{model}' waits to be absorbed ({where}). Rows are deleted once they were absorbed, or "
        "when the update that was to absorb them has failed or was cancelled."
    )


class BatchAbsorbed(Problem):
    code, status, title = "batch-absorbed", 409, "Head has learned from the batch"
    message = (
        "Version {head}, head of model '{model}', has learned from batch {batch}: it can no longer be set aside. "
        "POST /v1/models/{model}/forget learns head's line anew without it."
    )


class BatchNotParked(Problem):
    code, status, title = "batch-not-parked", 409, "The batch does not wait for a decision"
    message = (
        "Batch {batch} of model '{model}' is neither parked nor discarded, so there is nothing to release. "
        "GET /v1/models/{model}/parked lists those that are parked."
    )


class BatchForgotten(Problem):
    code, status, title = "batch-forgotten", 409, "The batch was forgotten"
    message = (
        "Batch {batch} of model '{model}' was forgotten, for good: it can be neither parked, discarded nor released. "
        "Post its rows again, under a new key, where they are to be learned from after all."
    )


class ForgetNotFound(Problem):
    code, status, title = "forget-not-found", 404, "No such forget"
    message = "Model '{model}' has no forget {forget}."


class ForgetBusy(Problem):
    code, status, title = "forget-busy", 409, "Another forget is under way"
    message = (
        "Forget {forget} of model '{model}' learns head's line anew. Wait for it, or cancel it: "
        "DELETE /v1/models/{model}/forgets/{forget}."
    )


class HeadUndecided(Problem):
    code, status, title = "head-undecided", 409, "A version waits for a decision"
    message = (
        "Version {version} of model '{model}' waits for head to be moved by hand. A forget would move head and so "
        "decline it, and what it has learned would be lost: decide first. PUT /v1/models/{model}/aliases/head to it, "
        "or to where head is."
    )


class VersionForgotten(Problem):
    code, status, title = "version-forgotten", 409, "The version has learned from what was given up"
    message = (
        "Version {version} of model '{model}' has learned from batch {batches}, which head has not and which was "
        "forgotten or discarded: head does not go there. The version stays queryable by its number, and other aliases "
        "may point at it. What was only discarded can be released first."
    )


class VersionParked(Problem):
    code, status, title = "version-parked", 409, "The version has learned from what is parked"
    message = (
        "Version {version} of model '{model}' has learned from batch {batches}, which head has not and which is "
        "parked: head does not go there undecided. Release it (POST /v1/models/{model}/batches/N/release), and move "
        "head then; or discard it, and head will not go there. The version stays queryable by its number, and other "
        "aliases may point at it."
    )


class ForgetOvertaken(Problem):
    code, status, title = "forget-overtaken", 409, "Head moved during the forget"
    message = (
        "Head of model '{model}' left version {head} while forget {forget} learned its line anew; that line is not "
        "used. Ask for the forget again if head has still learned from the batches."
    )


class RowsMissing(Problem):
    code, status, title = "rows-missing", 409, "Rows that would have to be learned again are gone"
    message = (
        "To forget batch {batches}, head of model '{model}' goes back to version {base}, and all that came after it "
        "is learned again; but {gone}. Possible is: roll back to version {base}, which has not learned from it, "
        "or forget later batches alone, or {instead}."
    )


class ApproximationImpossible(Problem):
    code, status, title = "approximation-impossible", 409, "The batches cannot be divided out"
    message = "Batch {batches} of model '{model}' cannot be divided out of version {head}, its head: {reason}."


class ApproximationOvertaken(Problem):
    code, status, title = "approximation-overtaken", 409, "Head moved while it was divided"
    message = (
        "Head of model '{model}' left version {head} while batches were divided out of it. Nothing changed; ask again."
    )


class RowsDeleted(Problem):
    code, status, title = "rows-deleted", 409, "The rows were deleted"
    message = (
        "Nothing more can be learned from them or predicted of them: the rows of batch {batches} of model '{model}' "
        "were deleted. The versions that have learned from them stay."
    )


class DatabaseNotCurrent(Problem):
    code, status, title = "database-not-current", 503, "The database does not have this release's tables"
    message = "The database is at revision {found}, this release needs {needed}. {advice}"

    OLDER = "Run 'posterity migrate' first."
    NEWER = (
        "The database is newer than this program: a later release has migrated it. Run that release, or a later one."
    )


class BlobStoreError(OSError):
    """The store of the blobs does not answer, or refuses; nothing is known to be wrong with the blobs themselves."""
