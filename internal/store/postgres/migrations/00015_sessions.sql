-- +goose Up
-- Who signed in to the console. No row has a token.
CREATE TABLE session (
    ledger  BIGINT NOT NULL,
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash    BYTEA NOT NULL, -- of the token; a token may have a session in several ledgers
    key_id  TEXT COLLATE "C" NOT NULL, -- the API key that signed in; '' for a person
    issuer  TEXT COLLATE "C" NOT NULL, -- of a person, as are the next four; '' for a key
    subject TEXT COLLATE "C" NOT NULL,
    email   TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    scopes  TEXT COLLATE "C" NOT NULL, -- separated by spaces
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    ended   BIGINT,
    used    BIGINT,
    seal    BYTEA
);
CREATE UNIQUE INDEX session_by_hash ON session (hash, ledger);
CREATE INDEX session_list ON session (ledger, created, id);
CREATE INDEX session_by_person ON session (subject, issuer, created) WHERE key_id = '' AND ended IS NULL;
CREATE INDEX session_by_expiry ON session (expires);
