-- +goose Up
-- Erasures of personal fields from many entries. No row has the address of a person.
CREATE TABLE erasure (
    id        TEXT NOT NULL PRIMARY KEY,
    ledger    INTEGER NOT NULL,
    erased_by TEXT NOT NULL,
    term      TEXT NOT NULL, -- what the index has for the value: a keyed hash, or an id; '' once it has ended
    object    TEXT NOT NULL, -- the id; '' for a person
    fields    TEXT NOT NULL, -- names, separated by spaces
    next      INTEGER NOT NULL, -- entries before that seq are done
    entries   INTEGER NOT NULL,
    links     INTEGER NOT NULL,
    files     INTEGER NOT NULL,
    begun     TEXT NOT NULL, -- the entry that records the beginning
    record    TEXT NOT NULL, -- the entry that records the end; '' before it
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    ended     INTEGER
) STRICT;
CREATE INDEX erasure_pending ON erasure (created) WHERE ended IS NULL;
-- The names of a file and of its links that entries show as commitments, separated by spaces: filename,
-- linked_resources, metadata, reason, title.
ALTER TABLE file ADD COLUMN personal TEXT NOT NULL DEFAULT '';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('erasure', 'sqlite_autoindex_erasure_1', '1000 1'), ('erasure', 'erasure_pending', '10 1');
ANALYZE sqlite_schema;
