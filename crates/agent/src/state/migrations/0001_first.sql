-- Schema 1. Frozen: it has been on disks. A change is a new file.
-- Times are milliseconds since 1970-01-01T00:00:00Z by this computer's clock.

CREATE TABLE devices (
    udid        TEXT    NOT NULL PRIMARY KEY,
    last_seen   INTEGER NOT NULL,
    schema      INTEGER NOT NULL,   -- of the JSON beside it
    remembered  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE observations (
    id      INTEGER PRIMARY KEY,
    udid    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    schema  INTEGER NOT NULL,
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX observations_by_device ON observations (udid, at);

CREATE TABLE runs (
    id       INTEGER PRIMARY KEY,
    udid     TEXT    NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    outcome  TEXT    NOT NULL,      -- a stable code
    schema   INTEGER NOT NULL,
    body     TEXT    NOT NULL
) STRICT;
CREATE INDEX runs_by_device ON runs (udid, ended);

CREATE TABLE notices (
    id      INTEGER PRIMARY KEY,
    udid    TEXT,
    at      INTEGER NOT NULL,
    level   TEXT    NOT NULL,
    title   TEXT    NOT NULL,
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX notices_by_time ON notices (at);

-- One row a fact about the agent itself, for example its last poll.
CREATE TABLE agent (
    key    TEXT  NOT NULL PRIMARY KEY,
    value  ANY   NOT NULL
) STRICT, WITHOUT ROWID;
