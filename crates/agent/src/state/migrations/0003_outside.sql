-- Schema 3: what is told to programs outside. Frozen: it has been on disks. A change is a new file.

-- Messages that no webhook has taken yet, in their order.
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY,
    hook    TEXT    NOT NULL,   -- a salted name of its address
    event   TEXT    NOT NULL,
    schema  INTEGER NOT NULL,   -- of the JSON beside it
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX outbox_by_hook ON outbox (hook, event);

-- What was told of each device last, so that a change is told once.
CREATE TABLE told (
    udid    TEXT    NOT NULL PRIMARY KEY,
    schema  INTEGER NOT NULL,
    body    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- How each of those outside was reached last.
CREATE TABLE contacts (
    hook    TEXT    NOT NULL PRIMARY KEY,
    schema  INTEGER NOT NULL,
    body    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Devices whose newest backup the program after a backup has not seen.
CREATE TABLE owed (
    udid    TEXT    NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs of that program.
CREATE TABLE program_runs (
    id      INTEGER PRIMARY KEY,
    udid    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    schema  INTEGER NOT NULL,
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX program_runs_by_device ON program_runs (udid, at);
