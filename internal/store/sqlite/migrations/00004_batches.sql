-- +goose Up
-- The entries of the log, those that were written together in one row. What is
-- packed begins with a byte: 0, and it is as it is; 1, an S2 block and its CRC-32C.
CREATE TABLE batch (
    ledger      INTEGER NOT NULL,
    first       INTEGER NOT NULL, -- seq of the first entry; the others follow it
    time        INTEGER NOT NULL, -- of the first entry, no earlier than that of any before it
    leaves      BLOB NOT NULL, -- an entry bundle, see https://c2sp.org/tlog-tiles; packed
    disclosures BLOB NOT NULL, -- one line for each entry, JSON; packed
    PRIMARY KEY (ledger, first)
) STRICT;
INSERT INTO batch (ledger, first, time, leaves, disclosures)
    SELECT ledger, seq, time, CAST(x'00' || unhex(printf('%04x', length(leaf))) || leaf AS BLOB), CAST(x'00' || disclosures || char(10) AS BLOB)
    FROM entry ORDER BY ledger, seq;

-- Ids and requests stand in the index by the moment they begin with.
DELETE FROM entry_index WHERE field = 'request';
INSERT INTO entry_index (ledger, field, value, first, seqs)
    SELECT ledger, 'request', substr(request_id, 1, 13), seq, x'00'
    FROM entry WHERE request_id IS NOT NULL AND seq < (SELECT indexed FROM ledger WHERE ledger.id = entry.ledger);
INSERT INTO entry_index (ledger, field, value, first, seqs)
    SELECT ledger, 'id', substr(id, 1, 13), seq, x'00'
    FROM entry WHERE seq < (SELECT indexed FROM ledger WHERE ledger.id = entry.ledger);
DROP TABLE entry;

DELETE FROM sqlite_stat1 WHERE tbl = 'entry';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('batch', 'sqlite_autoindex_batch_1', '10000000 1000000 1');
ANALYZE sqlite_schema;
