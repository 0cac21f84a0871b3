-- +goose Up
-- The entries of the log, those that were written together in one row. What is
-- packed begins with a byte: 0, and it is as it is; 1, an S2 block and its CRC-32C.
CREATE TABLE batch (
    ledger      BIGINT NOT NULL,
    first       BIGINT NOT NULL, -- seq of the first entry; the others follow it
    time        BIGINT NOT NULL, -- of the first entry, no earlier than that of any before it
    leaves      BYTEA NOT NULL, -- an entry bundle, see https://c2sp.org/tlog-tiles; packed
    disclosures BYTEA NOT NULL, -- one line for each entry, JSON; packed
    PRIMARY KEY (ledger, first)
);
-- It is packed already.
ALTER TABLE batch ALTER COLUMN leaves SET STORAGE EXTERNAL, ALTER COLUMN disclosures SET STORAGE EXTERNAL;
INSERT INTO batch (ledger, first, time, leaves, disclosures)
    SELECT ledger, seq, time, '\x00'::bytea || decode(lpad(to_hex(octet_length(leaf)), 4, '0'), 'hex') || leaf, '\x00'::bytea || disclosures || '\x0a'::bytea
    FROM entry ORDER BY ledger, seq;

-- Ids and requests stand in the index by the moment they begin with.
DELETE FROM entry_index WHERE field = 'request';
INSERT INTO entry_index (ledger, field, value, first, seqs)
    SELECT entry.ledger, 'request', substr(request_id, 1, 13), seq, '\x00'
    FROM entry JOIN ledger ON ledger.id = entry.ledger WHERE request_id IS NOT NULL AND seq < indexed;
INSERT INTO entry_index (ledger, field, value, first, seqs)
    SELECT entry.ledger, 'id', substr(entry.id, 1, 13), seq, '\x00'
    FROM entry JOIN ledger ON ledger.id = entry.ledger WHERE seq < indexed;
DROP TABLE entry;
