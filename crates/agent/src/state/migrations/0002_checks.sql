-- Schema 2: later looks at backups. Frozen: it has been on disks. A change is a new file.

CREATE TABLE checks (
    id      INTEGER PRIMARY KEY,
    udid    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    schema  INTEGER NOT NULL,   -- of the JSON beside it
    body    TEXT    NOT NULL
) STRICT;
CREATE INDEX checks_by_device ON checks (udid, at);
