-- Moments are microseconds since 1970 in UTC, NULL for none. Every index of a
-- list begins with the ledger and the state of the object, and ends in the
-- order of the list; what comes after that is looked at without reading the row.
-- An index with a condition serves only queries that repeat it. Where that holds
-- for every row, it keeps the index to the queries that are meant for it: SQLite
-- knows nothing of what is in a table, and would take indexes for alike.
-- +goose Up
CREATE TABLE account (
    id      TEXT NOT NULL PRIMARY KEY,
    name    TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_key (
    id      TEXT NOT NULL PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE ledger (
    id      INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    mode    TEXT NOT NULL,
    next    INTEGER NOT NULL, -- seq of the next entry
    UNIQUE (account, mode)
) STRICT;

CREATE TABLE key (
    ledger            INTEGER NOT NULL,
    id                TEXT NOT NULL PRIMARY KEY,
    name              TEXT NOT NULL,
    hash              BLOB NOT NULL UNIQUE,
    scopes            TEXT NOT NULL, -- separated by spaces
    created           INTEGER NOT NULL,
    updated           INTEGER NOT NULL,
    expires           INTEGER,
    revoked           INTEGER,
    used              INTEGER,
    version           TEXT NOT NULL,
    old_hash          BLOB, -- of the secret before the last rotation
    old_expires       INTEGER,
    max_link_lifetime INTEGER NOT NULL -- nanoseconds
) STRICT;
CREATE INDEX key_list ON key (ledger, created, id);
CREATE UNIQUE INDEX key_by_old_hash ON key (old_hash) WHERE old_hash IS NOT NULL;

CREATE TABLE file (
    ledger    INTEGER NOT NULL,
    id        TEXT NOT NULL PRIMARY KEY,
    purpose   TEXT NOT NULL,
    filename  TEXT NOT NULL,
    title     TEXT NOT NULL,
    type      TEXT NOT NULL,
    essence   TEXT NOT NULL, -- type without parameters
    size      INTEGER NOT NULL,
    magnitude INTEGER NOT NULL, -- of the size: how many binary digits it has
    sha256    BLOB NOT NULL,
    metadata  TEXT NOT NULL,
    linked    TEXT NOT NULL, -- JSON, '' for none; the table linked finds files by them
    held      INTEGER NOT NULL, -- 0 or 1
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL,
    expires   INTEGER,
    deleted   INTEGER,
    state     INTEGER NOT NULL GENERATED ALWAYS AS (CASE WHEN deleted IS NULL THEN 0 ELSE 1 END) STORED
) STRICT;
CREATE INDEX file_list ON file (ledger, state, created, id) WHERE id <> '';
CREATE INDEX file_by_purpose ON file (ledger, state, purpose, created, id);
CREATE INDEX file_by_filename ON file (ledger, state, filename, created, id);
CREATE INDEX file_by_title ON file (ledger, state, title, created, id) WHERE title <> '';
CREATE INDEX file_by_essence ON file (ledger, state, essence, created, id);
CREATE INDEX file_by_sha256 ON file (ledger, state, sha256, created, id);
CREATE INDEX file_by_size ON file (ledger, state, size, created, id);
CREATE INDEX file_by_magnitude ON file (ledger, state, magnitude, created, id, size);
CREATE INDEX file_by_expiry ON file (expires, id) WHERE deleted IS NULL AND held = 0 AND expires IS NOT NULL;

-- What files belong to.
CREATE TABLE linked (
    file_id       TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    file_ledger   INTEGER NOT NULL,
    file_state    INTEGER NOT NULL,
    file_created  INTEGER NOT NULL,
    PRIMARY KEY (file_id, resource_type, resource_id)
) STRICT;
CREATE INDEX linked_list ON linked (file_ledger, file_state, resource_type, resource_id, file_created, file_id);

CREATE TABLE link (
    ledger        INTEGER NOT NULL,
    id            TEXT NOT NULL PRIMARY KEY,
    file_id       TEXT NOT NULL,
    key_id        TEXT NOT NULL,
    signing_key   TEXT NOT NULL,
    reason        TEXT NOT NULL,
    metadata      TEXT NOT NULL,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    expires       INTEGER,
    term          INTEGER NOT NULL, -- how long it lasts, see link_term
    revoked       INTEGER,
    ended         TEXT NOT NULL,
    downloads     INTEGER NOT NULL,
    redeemed      INTEGER,
    max_downloads INTEGER NOT NULL,
    password      TEXT NOT NULL, -- its hash, '' for none
    allowed_ips   TEXT NOT NULL, -- networks, separated by spaces
    disposition   TEXT NOT NULL,
    filename      TEXT NOT NULL,
    state         INTEGER NOT NULL GENERATED ALWAYS AS (CASE WHEN revoked IS NULL THEN 0 WHEN ended = 'revoked' THEN 2 ELSE 1 END) STORED
) STRICT;
CREATE INDEX link_list ON link (ledger, state, created, id) WHERE id <> '';
CREATE INDEX link_by_term ON link (ledger, state, term, created, id, expires) WHERE file_id <> '';
CREATE INDEX link_by_file ON link (ledger, state, file_id, term, created, id, expires);
CREATE INDEX link_by_key ON link (ledger, key_id, expires) WHERE revoked IS NULL;

-- The shortest and the longest lifetime of a term, in microseconds: links whose
-- lifetimes are alike are of one term, those without end of term 0.
CREATE TABLE link_term (
    ledger INTEGER NOT NULL,
    term   INTEGER NOT NULL,
    least  INTEGER NOT NULL,
    most   INTEGER NOT NULL,
    PRIMARY KEY (ledger, term)
) STRICT;

CREATE TABLE entry (
    ledger      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    time        INTEGER NOT NULL,
    action      TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    file_id     TEXT,
    link_id     TEXT,
    key_id      TEXT,
    request_id  TEXT,
    leaf        BLOB NOT NULL,
    disclosures BLOB NOT NULL,
    state       INTEGER NOT NULL GENERATED ALWAYS AS (CASE WHEN outcome = 'refused' THEN 1 ELSE 0 END) STORED,
    PRIMARY KEY (ledger, seq)
) STRICT;
CREATE INDEX entry_list ON entry (ledger, state, time, seq) WHERE id <> '';
CREATE INDEX entry_by_action ON entry (ledger, state, action, time, seq);
CREATE INDEX entry_by_file ON entry (ledger, state, file_id, time, seq) WHERE file_id IS NOT NULL;
CREATE INDEX entry_by_link ON entry (ledger, state, link_id, time, seq) WHERE link_id IS NOT NULL;
CREATE INDEX entry_by_key ON entry (ledger, state, key_id, time, seq) WHERE key_id IS NOT NULL;
CREATE INDEX entry_by_request ON entry (ledger, state, request_id, time, seq) WHERE request_id IS NOT NULL;

-- What requests with an Idempotency-Key were answered.
CREATE TABLE answer (
    key_id      TEXT NOT NULL,
    once_key    TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    request_id  TEXT NOT NULL,
    created     INTEGER NOT NULL,
    result      BLOB, -- JSON
    err         BLOB, -- JSON
    PRIMARY KEY (key_id, once_key)
) STRICT;
CREATE INDEX answer_by_age ON answer (created);

-- Written to find out whether anything can be.
CREATE TABLE probe (
    n INTEGER NOT NULL
) STRICT;
INSERT INTO probe (n) VALUES (0);
