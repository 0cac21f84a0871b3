-- Moments are microseconds since 1970 in UTC, NULL for none. Every index of a
-- list begins with the ledger and ends in the order of the list. Texts are
-- ordered by their bytes (COLLATE "C"), as SQLite does, whatever the database's
-- own collation is. Rows that change often leave room in their page, so that
-- no index has to follow (fillfactor).
-- +goose Up
CREATE TABLE account (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE signing_key (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL
);

CREATE TABLE ledger (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    mode    TEXT COLLATE "C" NOT NULL,
    next    BIGINT NOT NULL, -- seq of the next entry
    indexed BIGINT NOT NULL, -- seq of the first entry that entry_index does not reach
    latest  BIGINT NOT NULL, -- time of the entry before next
    longest BIGINT NOT NULL, -- microseconds that the longest link lasts
    signed  BIGINT NOT NULL DEFAULT 0, -- size of the newest checkpoint
    UNIQUE (account, mode)
) WITH (fillfactor = 20);

CREATE TABLE key (
    ledger            BIGINT NOT NULL,
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name              TEXT COLLATE "C" NOT NULL,
    hash              BYTEA NOT NULL UNIQUE,
    scopes            TEXT COLLATE "C" NOT NULL, -- separated by spaces
    created           BIGINT NOT NULL,
    updated           BIGINT NOT NULL,
    expires           BIGINT,
    revoked           BIGINT,
    used              BIGINT,
    version           TEXT COLLATE "C" NOT NULL,
    old_hash          BYTEA, -- of the secret before the last rotation
    old_expires       BIGINT,
    max_link_lifetime BIGINT NOT NULL -- nanoseconds
);
CREATE INDEX key_list ON key (ledger, created, id);
CREATE UNIQUE INDEX key_by_old_hash ON key (old_hash) WHERE old_hash IS NOT NULL;

CREATE TABLE file (
    ledger   BIGINT NOT NULL,
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    purpose  TEXT COLLATE "C" NOT NULL,
    filename TEXT COLLATE "C" NOT NULL,
    title    TEXT COLLATE "C" NOT NULL,
    type     TEXT COLLATE "C" NOT NULL,
    size     BIGINT NOT NULL,
    sha256   BYTEA NOT NULL,
    metadata TEXT COLLATE "C" NOT NULL,
    linked   TEXT COLLATE "C" NOT NULL, -- JSON, '' for none; table linked is for the filter
    held     BIGINT NOT NULL, -- 0 or 1
    created  BIGINT NOT NULL,
    updated  BIGINT NOT NULL,
    expires  BIGINT,
    deleted  BIGINT
);
CREATE INDEX file_list ON file (ledger, created, id) WHERE deleted IS NULL;
CREATE INDEX file_deleted ON file (ledger, created, id) WHERE deleted IS NOT NULL;
CREATE INDEX file_by_purpose ON file (ledger, purpose, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_filename ON file (ledger, filename, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_title ON file (ledger, title, created, id) WHERE deleted IS NULL AND title <> '';
CREATE INDEX file_by_type ON file (ledger, type, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_sha256 ON file (ledger, sha256, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_expiry ON file (expires, id) WHERE deleted IS NULL AND held = 0 AND expires IS NOT NULL;

CREATE TABLE linked (
    file_id       TEXT COLLATE "C" NOT NULL,
    resource_type TEXT COLLATE "C" NOT NULL,
    resource_id   TEXT COLLATE "C" NOT NULL,
    file_ledger   BIGINT NOT NULL,
    file_created  BIGINT NOT NULL,
    file_deleted  BIGINT,
    PRIMARY KEY (file_id, resource_type, resource_id)
);
CREATE INDEX linked_list ON linked (file_ledger, resource_type, resource_id, file_created, file_id) WHERE file_deleted IS NULL;
CREATE INDEX linked_deleted ON linked (file_ledger, resource_type, resource_id, file_created, file_id) WHERE file_deleted IS NOT NULL;

CREATE TABLE link (
    ledger      BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    file_id     TEXT COLLATE "C" NOT NULL,
    key_id      TEXT COLLATE "C" NOT NULL,
    signing_key TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    metadata    TEXT COLLATE "C" NOT NULL,
    created     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    expires     BIGINT,
    revoked     BIGINT,
    ended       TEXT COLLATE "C" NOT NULL,
    downloads   BIGINT NOT NULL,
    redeemed    BIGINT,
    max_downloads BIGINT NOT NULL,
    password    TEXT COLLATE "C" NOT NULL, -- its hash, '' for none
    allowed_ips TEXT COLLATE "C" NOT NULL, -- networks, separated by spaces
    disposition TEXT COLLATE "C" NOT NULL,
    filename    TEXT COLLATE "C" NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX link_list ON link (ledger, created, id, expires) WHERE ended <> 'revoked';
CREATE INDEX link_revoked ON link (ledger, created, id) WHERE ended <> 'revoked' AND ended <> '';
CREATE INDEX link_by_file ON link (ledger, file_id, created, id) WHERE ended <> 'revoked';
CREATE INDEX link_by_key ON link (ledger, key_id, expires) WHERE revoked IS NULL;

CREATE TABLE entry (
    ledger      BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    time        BIGINT NOT NULL, -- no earlier than the entry before; the leaf has the clock's
    action      TEXT COLLATE "C" NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    file_id     TEXT COLLATE "C",
    link_id     TEXT COLLATE "C",
    key_id      TEXT COLLATE "C",
    request_id  TEXT COLLATE "C",
    leaf        BYTEA NOT NULL,
    disclosures BYTEA NOT NULL,
    PRIMARY KEY (ledger, seq)
);

-- Where entries are found by what they are about: field is action, file, key,
-- link, outcome or request. A row holds the places of a stretch of the log, as
-- varints; those of a ledger reach up to ledger.indexed.
CREATE TABLE entry_index (
    ledger BIGINT NOT NULL,
    field  TEXT COLLATE "C" NOT NULL,
    value  TEXT COLLATE "C" NOT NULL,
    first  BIGINT NOT NULL,
    seqs   BYTEA NOT NULL,
    PRIMARY KEY (ledger, field, value, first)
);

-- What bearers of links with a number of downloads may ask for again.
CREATE TABLE open_grant (
    ledger  BIGINT NOT NULL,
    link_id TEXT COLLATE "C" NOT NULL,
    bearer  BYTEA NOT NULL, -- SHA-256 of what they are known by
    expires BIGINT NOT NULL,
    bytes   BIGINT NOT NULL,
    PRIMARY KEY (ledger, link_id, bearer)
);
CREATE INDEX open_grant_by_expiry ON open_grant (expires);

-- What requests with an Idempotency-Key were answered.
CREATE TABLE answer (
    key_id      TEXT COLLATE "C" NOT NULL,
    once_key    TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    created     BIGINT NOT NULL,
    result      BYTEA,
    err         BYTEA,
    PRIMARY KEY (key_id, once_key)
);
CREATE INDEX answer_by_age ON answer (created);

-- Written to find out whether anything can be.
CREATE TABLE probe (
    n BIGINT NOT NULL
) WITH (fillfactor = 20);
INSERT INTO probe (n) VALUES (0);

-- One row for each hash tile. It grows while the tile is partial.
CREATE TABLE tile (
    ledger BIGINT NOT NULL,
    level  BIGINT NOT NULL,
    idx    BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (ledger, level, idx)
);

CREATE TABLE checkpoint (
    ledger   BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    root     BYTEA NOT NULL,
    note     BYTEA NOT NULL,
    verifier TEXT COLLATE "C" NOT NULL,
    created  BIGINT NOT NULL,
    PRIMARY KEY (ledger, size)
);

CREATE TABLE rotation (
    ledger   BIGINT NOT NULL,
    seq      BIGINT NOT NULL,
    verifier TEXT COLLATE "C" NOT NULL,
    proof    BYTEA NOT NULL,
    created  BIGINT NOT NULL,
    PRIMARY KEY (ledger, seq)
);

-- Who does what one process at a time must do, and until when it may.
CREATE TABLE lease (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    until  BIGINT NOT NULL -- by the clock of the database
) WITH (fillfactor = 20);
