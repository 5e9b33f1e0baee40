"""Keys: shown once, stored as hashes, expired by the database's clock, revoked once; and what is known of them when."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from store.engine import connect
from store.errors import KeyExists, KeyGiven, KeyNotFound, KeyUnusable
from store.key_ring import FRESH_SECONDS, KeyRing
from store.keys import KeyRow, Keys
from store.kinds import Scope
from store.ledger import Ledger
from store.migrate import upgrade
from tests.conftest import FakeClock
from tests.store.given import a_model

PREDICT = frozenset({Scope.PREDICT})


class Ours:
    """This machine's clock, and a timer, that pass when told."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def keys(engine: Engine, clock: FakeClock) -> Keys:
    return Keys(engine, clock=clock)


def make(keys: Keys, name: str = "ada", **more: float | str) -> str:
    return keys.create(name, scopes=PREDICT, created_by="test", **more).key  # type: ignore[arg-type]


def find(keys: Keys, key: str, clock: FakeClock) -> KeyRow | None:
    return keys.in_force().find(key, now=clock.seconds)


def test_a_key_is_found_by_itself_alone(keys: Keys, clock: FakeClock) -> None:
    key = make(keys, models="team-*")
    make(keys, "bob")

    found = find(keys, key, clock)

    assert found is not None
    assert (found.name, found.scopes, found.models, found.created_by) == ("ada", PREDICT, "team-*", "test")
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    for wrong in (other, key[:-1], key + "A", key.upper(), key.removeprefix("posterity_"), found.hash, "", "é" * 53):
        assert find(keys, wrong, clock) is None


def test_a_key_has_256_random_bits_and_every_one_is_another(keys: Keys) -> None:
    made = {make(keys, f"key-{number}") for number in range(20)}

    assert len(made) == 20
    assert all(re.fullmatch(r"posterity_[A-Za-z0-9_-]{43}", key) for key in made)


def test_the_database_has_the_hash_and_nowhere_the_key(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    upgrade(engine)
    key = make(Keys(engine))
    engine.dispose()

    bytes_there = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert hashlib.sha256(key.encode()).hexdigest().encode() in bytes_there
    assert key.encode() not in bytes_there
    assert key.removeprefix("posterity_").encode() not in bytes_there


def test_neither_a_key_nor_its_hash_is_in_what_is_printed(keys: Keys) -> None:
    made = keys.create("ada", scopes=PREDICT, created_by="test")
    said = repr(made) + repr(keys.list()) + repr(keys.in_force())

    assert made.key not in said
    assert made.row.hash not in said


def test_the_whole_hash_is_compared_in_constant_time(keys: Keys, clock: FakeClock) -> None:
    key = make(keys)

    with patch("store.keys.hmac.compare_digest", return_value=False) as compared:
        assert find(keys, key, clock) is None

    digest = hashlib.sha256(key.encode()).hexdigest()
    compared.assert_called_once_with(digest, digest)


def test_a_key_expires_by_the_clock_of_the_database_and_keeps_the_door_closed(keys: Keys, clock: FakeClock) -> None:
    key = make(keys, expires_at=clock.seconds + 10)

    clock.pass_by(9.5)
    assert find(keys, key, clock) is not None
    assert keys.in_force().is_usable()

    clock.pass_by(0.5)
    assert find(keys, key, clock) is None
    assert not keys.in_force().is_usable()
    assert keys.in_force().by_hash


def test_a_revoked_key_opens_nothing_and_revoking_it_again_changes_nothing(keys: Keys, clock: FakeClock) -> None:
    key = make(keys)

    revoked = keys.revoke("ada")
    clock.pass_by(60)

    assert find(keys, key, clock) is None
    assert keys.revoke("ada") == revoked == keys.list()[0]
    assert revoked.revoked_at == clock.seconds - 60


def test_a_key_that_never_was_cannot_be_revoked(keys: Keys) -> None:
    with pytest.raises(KeyNotFound, match="nobody"):
        keys.revoke("nobody")


def test_what_is_given_instead_of_a_name_is_told_to_be_a_key_and_whose(keys: Keys, clock: FakeClock) -> None:
    key, unknown = make(keys), f"posterity_{'A' * 43}"

    for given, whose in ((key, "the key named 'ada'"), (unknown, "none of this service's")):
        with pytest.raises(KeyGiven, match=whose) as refused:
            keys.revoke(given)
        assert given not in str(refused.value)
    assert find(keys, key, clock) is not None


def test_no_name_begins_as_keys_do(keys: Keys) -> None:
    key = make(keys)

    for name in (key, "posterity_", "posterity_mine"):
        with pytest.raises(KeyUnusable, match="could be taken for a key") as refused:
            make(keys, name)
        assert key not in str(refused.value)
    assert [row.name for row in keys.list()] == ["ada"]


def test_a_name_is_given_once_even_to_many_at_the_same_time_and_after_a_revocation(keys: Keys) -> None:
    def attempt(_: int) -> bool:
        try:
            make(keys)
        except KeyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1

    keys.revoke("ada")
    with pytest.raises(KeyExists, match="ada"):
        make(keys)


@pytest.mark.parametrize(
    "name", ["", "a b", "-a", "a/b", "a\n", "é", "x" * 129, "client", "worker", "service", "local"]
)
def test_a_name_that_is_none_or_means_somebody_else_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(KeyUnusable):
        make(keys, name)

    assert keys.list() == []


@pytest.mark.parametrize(
    "models",
    [" *", "* ", "a b", "a, b", "a,b", "[", "a[", "a]", "[]", "[!]", "[a", ".a*", "-a", "_*", "a/*", "é*", "a{b,c}"],
)
def test_a_pattern_that_fits_no_name_of_a_model_is_refused(keys: Keys, models: str) -> None:
    with pytest.raises(KeyUnusable, match="fits no name of a model"):
        make(keys, models=models)

    assert keys.list() == []


@pytest.mark.parametrize(
    "models", ["*", "?", "team-*", "team-a", "[ab]*", "[!a-c]x", "A.b_c-9", "m" * 255, "*.*", "??-[0-9]"]
)
def test_a_pattern_that_fits_names_of_models_is_taken(keys: Keys, models: str) -> None:
    make(keys, models=models)

    assert keys.list()[0].models == models


@pytest.mark.parametrize(
    "facts",
    [
        {"scopes": frozenset[Scope]()},
        {"models": ""},
        {"models": "a\0"},
        {"models": "m" * 256},
        {"expires_at": 1_000_000.0},
        {"expires_at": 1e12},
    ],
)
def test_a_key_that_would_open_nothing_is_refused(keys: Keys, facts: dict[str, object]) -> None:
    with pytest.raises(KeyUnusable):
        keys.create("ada", **{"scopes": PREDICT, "created_by": "test"} | facts)  # type: ignore[arg-type]

    assert keys.list() == []


def test_keys_are_listed_by_name_from_where_one_left_off(keys: Keys) -> None:
    for name in ("c", "a", "b"):
        make(keys, name)

    assert [row.name for row in keys.list(limit=2)] == ["a", "b"]
    assert [row.name for row in keys.list(after="b")] == ["c"]


def test_a_revocation_is_seen_at_once_on_sqlite_and_within_a_second_on_postgresql(
    keys: Keys, clock: FakeClock, engine: Engine, database_url: str
) -> None:
    timer = Ours(0.0)
    ring = KeyRing(keys, timer=timer, clock=Ours(clock.seconds))
    make(keys)
    assert len(ring.read().by_hash) == 1
    assert ring.at_hand() is not None

    elsewhere = connect(database_url)  # As another process does it.
    Keys(elsewhere).revoke("ada")
    elsewhere.dispose()

    if engine.dialect.name == "postgresql":
        timer.seconds = FRESH_SECONDS - 0.01
        assert ring.at_hand() is not None
        timer.seconds = FRESH_SECONDS
    assert ring.at_hand() is None
    assert not ring.read().by_hash
    ring.close()


def test_keys_at_hand_cost_no_query_and_are_forgotten_when_told(keys: Keys, engine: Engine) -> None:
    ring = KeyRing(keys)
    make(keys)
    ring.read()

    with patch.object(keys, "in_force", side_effect=AssertionError):
        for _ in range(3):
            assert ring.at_hand() is not None

    ring.forget()
    assert ring.at_hand() is None
    ring.read()
    assert ring.at_hand() is not None
    ring.close()


def test_commits_that_make_or_revoke_no_key_leave_the_keys_at_hand(
    keys: Keys, ledger: Ledger, engine: Engine, clock: FakeClock
) -> None:
    ring = KeyRing(keys)
    make(keys)
    kept = ring.read()

    a_model(ledger)
    assert ring.at_hand() is kept
    make(keys, "bob")
    a_model(ledger, "others")

    if engine.dialect.name == "sqlite":
        assert ring.at_hand() is None
    assert len(ring.read().by_hash) == 2
    keys.revoke("bob")
    if engine.dialect.name == "sqlite":
        assert ring.at_hand() is None
    ring.close()


def test_what_was_read_while_it_was_to_be_forgotten_is_not_at_hand(keys: Keys) -> None:
    ring = KeyRing(keys)
    really = keys.in_force

    def meanwhile() -> object:
        found = really()
        ring.forget()  # Somebody revokes one after the query and before its answer is kept.
        return found

    with patch.object(keys, "in_force", meanwhile):
        ring.read()

    assert ring.at_hand() is None
    ring.close()


def test_expiry_is_told_by_the_databases_clock_wherever_ours_stands(keys: Keys, clock: FakeClock) -> None:
    ours = Ours(5_000.0)
    ring = KeyRing(keys, clock=ours)
    key = make(keys, expires_at=clock.seconds + 10)
    in_force = ring.read()

    assert ring.find(in_force, key) is not None
    ours.seconds += 9.5
    assert ring.find(in_force, key) is not None
    ours.seconds += 0.5
    assert ring.find(in_force, key) is None
    ring.close()


def test_a_database_that_does_not_answer_leaves_what_was_known(keys: Keys, engine: Engine) -> None:
    ring = KeyRing(keys)
    assert ring.last() is None
    make(keys)
    known = ring.read()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE keys RENAME TO lost"))
    ring.forget()

    with pytest.raises(Exception, match="keys"):
        ring.read()

    assert ring.last() is known
    assert ring.at_hand() is None
    ring.close()


def test_a_sqlite_file_that_cannot_be_opened_is_a_database_that_does_not_answer(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}")
    (tmp_path / "folder").rmdir()
    ring = KeyRing(Keys(engine))

    with pytest.raises(OperationalError, match="unable to open"):
        ring.read()
    assert ring.at_hand() is None
    engine.dispose()
