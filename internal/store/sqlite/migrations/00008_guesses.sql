-- +goose Up
-- Wrong passwords of links, by day and by address.
CREATE TABLE guess (
    ledger  INTEGER NOT NULL,
    link_id TEXT NOT NULL,
    address BLOB NOT NULL, -- SHA-256 of link and network; 32 zeros for all of them
    day     INTEGER NOT NULL, -- begins then
    n       INTEGER NOT NULL,
    last    INTEGER NOT NULL, -- the newest of them
    PRIMARY KEY (ledger, link_id, address, day)
) WITHOUT ROWID, STRICT;
CREATE INDEX guess_by_day ON guess (day);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('guess', 'sqlite_autoindex_guess_1', '100000 10000 10 2 1'), ('guess', 'guess_by_day', '100000 50000');
ANALYZE sqlite_schema;
