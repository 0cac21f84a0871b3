-- +goose Up
-- Erasures of personal fields from many entries. No row has the address of a person.
CREATE TABLE erasure (
    id        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    ledger    BIGINT NOT NULL,
    erased_by TEXT COLLATE "C" NOT NULL,
    term      TEXT COLLATE "C" NOT NULL, -- what the index has for the value: a keyed hash, or an id; '' once it has ended
    object    TEXT COLLATE "C" NOT NULL, -- the id; '' for a person
    fields    TEXT COLLATE "C" NOT NULL, -- names, separated by spaces
    next      BIGINT NOT NULL, -- entries before that seq are done
    entries   BIGINT NOT NULL,
    links     BIGINT NOT NULL,
    files     BIGINT NOT NULL,
    begun     TEXT COLLATE "C" NOT NULL, -- the entry that records the beginning
    record    TEXT COLLATE "C" NOT NULL, -- the entry that records the end; '' before it
    created   BIGINT NOT NULL,
    updated   BIGINT NOT NULL,
    ended     BIGINT
);
CREATE INDEX erasure_pending ON erasure (created) WHERE ended IS NULL;
-- The names of a file and of its links that entries show as commitments, separated by spaces: filename,
-- linked_resources, metadata, reason, title.
ALTER TABLE file ADD COLUMN personal TEXT COLLATE "C" NOT NULL DEFAULT '';
