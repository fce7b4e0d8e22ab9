"""What the simulator remembers: the objects of Stripe as JSON in one SQLite database, and the clock.

One lock makes every request and every piece of background work a transaction of its own.
"""

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager

from errors import missing

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, seq);
CREATE INDEX IF NOT EXISTS object_customer ON object (kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS object_intent ON object (kind, json_extract(body, '$.payment_intent'));
CREATE TABLE IF NOT EXISTS due (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS due_at ON due (at, seq);
CREATE TABLE IF NOT EXISTS answer (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    request_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, attempts INTEGER NOT NULL, due REAL NOT NULL);
CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = ("object", "due", "answer", "delivery", "setting")
ANSWERS_MAX = 100_000


class Store:
    def __init__(self, path=None):
        self.lock, self.path = threading.RLock(), path
        # SQLite would open a file by its absolute path, which the simulator's user may not be able to reach.
        self.database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        if path and os.path.exists(path):
            with open(path, "rb") as file:
                self.database.deserialize(file.read())
        self.database.executescript(SCHEMA)
        self.persisted = self.database.total_changes
        self.offset = self.setting("clock_offset", 0)

    def persist(self):
        """Writes the state to its file if it has changed. A crash loses what was done since."""
        with self.lock:
            if not self.path or self.persisted == self.database.total_changes:
                return
            self.persisted, state = self.database.total_changes, self.database.serialize()
        with open(self.path + ".new", "wb") as file:
            file.write(state)
        os.replace(self.path + ".new", self.path)

    # Transactions

    @contextmanager
    def transaction(self):
        """Commits at the end, and rolls back on any exception. A transaction inside another is part of it."""
        with self.lock:
            if self.database.in_transaction:
                yield
                return
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    def rows(self, sql, *values):
        with self.lock:
            return self.database.execute(sql, values).fetchall()

    def execute(self, sql, *values):
        with self.lock:
            return self.database.execute(sql, values)

    def clear(self):
        with self.transaction():
            for table in TABLES:
                self.execute(f"DELETE FROM {table}")
            self.offset = 0

    # Clock

    def now(self):
        """The simulator's time in seconds since 1970: the machine's, and what the control API added."""
        return int(time.time()) + self.offset

    def advance_to(self, at):
        self.offset += max(0, at - self.now())
        self.set("clock_offset", self.offset)

    def setting(self, name, default=None):
        rows = self.rows("SELECT value FROM setting WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else default

    def set(self, name, value):
        self.execute("INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, json.dumps(value))

    # Objects

    def get(self, identifier, kind=None):
        """Returns an object, or None. With a kind also None if the object is of another."""
        rows = self.rows("SELECT kind, body FROM object WHERE id = ?", identifier)
        return json.loads(rows[0][1]) if rows and kind in (None, rows[0][0]) else None

    def require(self, identifier, kind, param="id"):
        found = self.get(identifier, kind)
        if found is None:
            raise missing(kind, identifier, param)
        return found

    def save(self, *objects):
        for body in objects:
            self.execute(
                "INSERT INTO object (id, kind, created, body) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, body = excluded.body",
                body["id"], body["object"], body.get("created", self.now()), json.dumps(body, separators=(",", ":")))

    def delete(self, identifier):
        self.execute("DELETE FROM object WHERE id = ?", identifier)

    def find(self, kind, **equal):
        """Returns the objects of a kind whose members have these values, newest first. `a__b` means a.b."""
        conditions = [(f"json_extract(body, '$.{name.replace('__', '.')}') = ?", [value]) for name, value in equal.items()]
        return self.select(kind, conditions)

    def select(self, kind, conditions, newest_first=True, limit=-1):
        """Conditions are pairs of SQL and its values."""
        where = " AND ".join(["kind = ?"] + [sql for sql, _ in conditions])
        values = [value for _, bound in conditions for value in bound]
        order = "DESC" if newest_first else "ASC"
        rows = self.rows(f"SELECT body FROM object WHERE {where} ORDER BY seq {order} LIMIT ?", kind, *values, limit)
        return [json.loads(body) for body, in rows]

    # Work that falls due at a time of the simulator's clock

    def schedule(self, at, kind, identifier):
        self.execute("INSERT INTO due (at, kind, id) VALUES (?, ?, ?)", at, kind, identifier)

    def next_due(self):
        rows = self.rows("SELECT at FROM due ORDER BY at, seq LIMIT 1")
        return rows[0][0] if rows else None

    def take_due(self):
        rows = self.rows(
            "DELETE FROM due WHERE seq = (SELECT seq FROM due WHERE at <= ? ORDER BY at, seq LIMIT 1) RETURNING kind, id, at", self.now())
        return rows[0] if rows else None

    # Stored answers of idempotency keys

    def answer(self, key):
        rows = self.rows("SELECT request, status, body, request_id FROM answer WHERE key = ?", key)
        return rows[0] if rows else None

    def store_answer(self, key, request, status, body, request_id):
        self.execute("INSERT INTO answer (key, request, status, body, request_id) VALUES (?, ?, ?, ?, ?)", key, request, status, body,
            request_id)
        self.execute("DELETE FROM answer WHERE seq <= (SELECT max(seq) FROM answer) - ?", ANSWERS_MAX)

    def prune_answers(self):
        return self.execute("DELETE FROM answer").rowcount
