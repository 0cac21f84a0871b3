-- +goose Up
ALTER TABLE ledger ADD COLUMN signed INTEGER NOT NULL DEFAULT 0; -- size of the newest checkpoint

-- One row for each hash tile. It grows while the tile is partial.
CREATE TABLE tile (
    ledger INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (ledger, level, idx)
) STRICT;

CREATE TABLE checkpoint (
    ledger   INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    root     BLOB NOT NULL,
    note     BLOB NOT NULL,
    verifier TEXT NOT NULL,
    created  INTEGER NOT NULL,
    PRIMARY KEY (ledger, size)
) STRICT;

CREATE TABLE rotation (
    ledger   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    verifier TEXT NOT NULL,
    proof    BLOB NOT NULL,
    created  INTEGER NOT NULL,
    PRIMARY KEY (ledger, seq)
) STRICT;
