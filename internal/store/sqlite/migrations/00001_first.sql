-- Moments are microseconds since 1970 in UTC, NULL for none. Every index of a
-- list begins with the ledger and ends in the order of the list.
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
    indexed INTEGER NOT NULL, -- seq of the first entry that entry_index does not reach
    latest  INTEGER NOT NULL, -- time of the entry before next
    longest INTEGER NOT NULL, -- microseconds that the longest link lasts
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
    ledger   INTEGER NOT NULL,
    id       TEXT NOT NULL PRIMARY KEY,
    purpose  TEXT NOT NULL,
    filename TEXT NOT NULL,
    title    TEXT NOT NULL,
    type     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    sha256   BLOB NOT NULL,
    metadata TEXT NOT NULL,
    linked   TEXT NOT NULL, -- JSON, '' for none; table linked is for the filter
    held     INTEGER NOT NULL, -- 0 or 1
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    expires  INTEGER,
    deleted  INTEGER
) STRICT;
CREATE INDEX file_list ON file (ledger, created, id) WHERE deleted IS NULL;
CREATE INDEX file_deleted ON file (ledger, created, id) WHERE deleted IS NOT NULL;
CREATE INDEX file_by_purpose ON file (ledger, purpose, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_filename ON file (ledger, filename, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_title ON file (ledger, title, created, id) WHERE deleted IS NULL AND title <> '';
CREATE INDEX file_by_type ON file (ledger, type, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_sha256 ON file (ledger, sha256, created, id) WHERE deleted IS NULL;
CREATE INDEX file_by_expiry ON file (expires, id) WHERE deleted IS NULL AND held = 0 AND expires IS NOT NULL;

CREATE TABLE linked (
    file_id       TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    file_ledger   INTEGER NOT NULL,
    file_created  INTEGER NOT NULL,
    file_deleted  INTEGER,
    PRIMARY KEY (file_id, resource_type, resource_id)
) STRICT;
CREATE INDEX linked_list ON linked (file_ledger, resource_type, resource_id, file_created, file_id) WHERE file_deleted IS NULL;
CREATE INDEX linked_deleted ON linked (file_ledger, resource_type, resource_id, file_created, file_id) WHERE file_deleted IS NOT NULL;

CREATE TABLE link (
    ledger      INTEGER NOT NULL,
    id          TEXT NOT NULL PRIMARY KEY,
    file_id     TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    signing_key TEXT NOT NULL,
    reason      TEXT NOT NULL,
    metadata    TEXT NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    expires     INTEGER,
    revoked     INTEGER,
    ended       TEXT NOT NULL,
    downloads   INTEGER NOT NULL,
    redeemed    INTEGER,
    max_downloads INTEGER NOT NULL,
    password    TEXT NOT NULL, -- its hash, '' for none
    allowed_ips TEXT NOT NULL, -- networks, separated by spaces
    disposition TEXT NOT NULL,
    filename    TEXT NOT NULL
) STRICT;
CREATE INDEX link_list ON link (ledger, created, id, expires) WHERE ended <> 'revoked';
CREATE INDEX link_revoked ON link (ledger, created, id) WHERE ended <> 'revoked' AND ended <> '';
CREATE INDEX link_by_file ON link (ledger, file_id, created, id) WHERE ended <> 'revoked';
CREATE INDEX link_by_key ON link (ledger, key_id, expires) WHERE revoked IS NULL;

CREATE TABLE entry (
    ledger      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    time        INTEGER NOT NULL, -- no earlier than the entry before; the leaf has the clock's
    action      TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    file_id     TEXT,
    link_id     TEXT,
    key_id      TEXT,
    request_id  TEXT,
    leaf        BLOB NOT NULL,
    disclosures BLOB NOT NULL,
    PRIMARY KEY (ledger, seq)
) STRICT;

-- Where entries are found by what they are about: field is action, file, key,
-- link, outcome or request. A row holds the places of a stretch of the log, as
-- varints; those of a ledger reach up to ledger.indexed.
CREATE TABLE entry_index (
    ledger INTEGER NOT NULL,
    field  TEXT NOT NULL,
    value  TEXT NOT NULL,
    first  INTEGER NOT NULL,
    seqs   BLOB NOT NULL,
    PRIMARY KEY (ledger, field, value, first)
) WITHOUT ROWID, STRICT;

-- What bearers of links with a number of downloads may ask for again.
CREATE TABLE open_grant (
    ledger  INTEGER NOT NULL,
    link_id TEXT NOT NULL,
    bearer  BLOB NOT NULL, -- SHA-256 of what they are known by
    expires INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (ledger, link_id, bearer)
) WITHOUT ROWID, STRICT;
CREATE INDEX open_grant_by_expiry ON open_grant (expires);

-- What requests with an Idempotency-Key were answered.
CREATE TABLE answer (
    key_id      TEXT NOT NULL,
    once_key    TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    request_id  TEXT NOT NULL,
    created     INTEGER NOT NULL,
    result      BLOB,
    err         BLOB,
    PRIMARY KEY (key_id, once_key)
) STRICT;
CREATE INDEX answer_by_age ON answer (created);

-- What the planner is to take each index for, whatever is in it: how many rows,
-- then how many of them share the first column, the first two, and so on. So
-- plans are those of a large database from the first row on. See
-- https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_sqlite_stat_tables
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('key', 'sqlite_autoindex_key_1', '1000 1'),
    ('key', 'sqlite_autoindex_key_2', '1000 1'),
    ('key', 'key_list', '1000 100 1 1'),
    ('file', 'sqlite_autoindex_file_1', '10000000 1'),
    ('file', 'file_list', '10000000 1000000 1 1'),
    ('key', 'key_by_old_hash', '1000 1'),
    ('file', 'file_deleted', '10000000 1000000 1 1'),
    ('file', 'file_by_purpose', '10000000 1000000 100000 1 1'),
    ('file', 'file_by_filename', '10000000 1000000 50000 1 1'),
    ('file', 'file_by_title', '10000000 1000000 40000 1 1'),
    ('file', 'file_by_type', '10000000 1000000 200000 1 1'),
    ('file', 'file_by_sha256', '10000000 1000000 10 1 1'),
    ('file', 'file_by_expiry', '10000000 1 1'),
    ('linked', 'sqlite_autoindex_linked_1', '10000000 10 10 1'),
    ('linked', 'linked_list', '10000000 1000000 1000000 20000 1 1'),
    ('linked', 'linked_deleted', '10000000 1000000 1000000 20000 1 1'),
    ('open_grant', 'sqlite_autoindex_open_grant_1', '100000 10000 10 1'),
    ('open_grant', 'open_grant_by_expiry', '100000 1'),
    ('answer', 'sqlite_autoindex_answer_1', '10000000 1000000 1'),
    ('answer', 'answer_by_age', '10000000 1'),
    ('link', 'sqlite_autoindex_link_1', '10000000 1'),
    ('link', 'link_list', '10000000 1000000 1 1 1'),
    ('link', 'link_revoked', '10000000 100000 1 1'),
    ('link', 'link_by_file', '10000000 1000000 20000 1 1'),
    ('link', 'link_by_key', '10000000 1000000 100000 1'),
    ('entry', 'sqlite_autoindex_entry_1', '10000000 1'),
    ('entry', 'sqlite_autoindex_entry_2', '10000000 1000000 1'),
    ('entry_index', 'sqlite_autoindex_entry_index_1', '10000000 1000000 100000 10 1');
ANALYZE sqlite_schema;

-- Written to find out whether anything can be.
CREATE TABLE probe (
    n INTEGER NOT NULL
) STRICT;
INSERT INTO probe (n) VALUES (0);
