-- +goose Up
-- Codes that prove an address. No row has a code or an address.
CREATE TABLE challenge (
    ledger  INTEGER NOT NULL,
    link_id TEXT NOT NULL,
    id      TEXT NOT NULL, -- a hash of the cookie of the browser that asked
    address BLOB NOT NULL, -- a keyed hash
    network BLOB NOT NULL, -- a keyed hash
    entry   TEXT NOT NULL, -- of link.code_sent; '' if no code was sent
    sent    INTEGER NOT NULL, -- 1 if one was
    tries   INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (ledger, link_id, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX challenge_by_network ON challenge (network, created);
CREATE INDEX challenge_by_time ON challenge (created, sent);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('challenge', 'sqlite_autoindex_challenge_1', '100000 10000 20 1'), ('challenge', 'challenge_by_network', '100000 20 1'), ('challenge', 'challenge_by_time', '100000 1 1');
ANALYZE sqlite_schema;
