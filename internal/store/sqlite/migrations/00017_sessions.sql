-- +goose Up
-- Who signed in to the console. No row has a token.
CREATE TABLE session (
    ledger  INTEGER NOT NULL,
    id      TEXT NOT NULL PRIMARY KEY,
    hash    BLOB NOT NULL, -- of the token; a token may have a session in several ledgers
    key_id  TEXT NOT NULL, -- the API key that signed in; '' for a person
    issuer  TEXT NOT NULL, -- of a person, as are the next four; '' for a key
    subject TEXT NOT NULL,
    email   TEXT NOT NULL,
    name    TEXT NOT NULL,
    scopes  TEXT NOT NULL, -- separated by spaces
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended   INTEGER,
    used    INTEGER,
    seal    BLOB
) STRICT;
CREATE UNIQUE INDEX session_by_hash ON session (hash, ledger);
CREATE INDEX session_list ON session (ledger, created, id);
CREATE INDEX session_by_person ON session (subject, issuer, created) WHERE key_id = '' AND ended IS NULL;
CREATE INDEX session_by_expiry ON session (expires);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('session', 'sqlite_autoindex_session_1', '10000 1'), ('session', 'session_by_hash', '10000 2 1'), ('session', 'session_list', '10000 1000 1 1'), ('session', 'session_by_person', '10000 3 3 1'), ('session', 'session_by_expiry', '10000 1');
ANALYZE sqlite_schema;
