-- +goose Up
-- An ending is a key that was revoked, or a file that was deleted, and whose links are not all marked yet. Links are
-- marked a few at a time; until then a reader derives what they are from this table.
CREATE TABLE ending (
    ledger        INTEGER NOT NULL,
    kind          TEXT NOT NULL, -- 'key' or 'file'
    object        TEXT NOT NULL, -- its id
    ended_at      INTEGER NOT NULL,
    after_created INTEGER NOT NULL, -- links up to this one are marked; of a key, it is when they expire
    after_id      TEXT NOT NULL,
    PRIMARY KEY (ledger, kind, object)
) WITHOUT ROWID, STRICT;
CREATE INDEX ending_by_time ON ending (ledger, ended_at);
ALTER TABLE ledger ADD COLUMN endings INTEGER NOT NULL DEFAULT 0; -- how many rows of ending it has
CREATE INDEX ledger_with_endings ON ledger (id) WHERE endings > 0;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('ending', 'sqlite_autoindex_ending_1', '1000 100 50 1'), ('ending', 'ending_by_time', '1000 100 1');
ANALYZE sqlite_schema;
