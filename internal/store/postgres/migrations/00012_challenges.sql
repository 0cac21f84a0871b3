-- +goose Up
-- Codes that prove an address. No row has a code or an address.
CREATE TABLE challenge (
    ledger  BIGINT NOT NULL,
    link_id TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL, -- a hash of the cookie of the browser that asked
    address BYTEA NOT NULL, -- a keyed hash
    network BYTEA NOT NULL, -- a keyed hash
    entry   TEXT COLLATE "C" NOT NULL, -- of link.code_sent; '' if no code was sent
    sent    BIGINT NOT NULL, -- 1 if one was
    tries   BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (ledger, link_id, id)
);
CREATE INDEX challenge_by_network ON challenge (network, created);
CREATE INDEX challenge_by_time ON challenge (created, sent);
