-- +goose Up
-- CRC-32 (IEEE 802.3) of the bytes, NULL while it is not known: files that are older than this column get it when
-- they are read the next time.
ALTER TABLE file ADD COLUMN crc32 INTEGER;
-- What the scrub found in place of the bytes, as canonical JSON, NULL for a file that is not known to be damaged.
ALTER TABLE file ADD COLUMN damage TEXT;
CREATE INDEX file_damaged ON file (id) WHERE damage IS NOT NULL AND deleted IS NULL;
-- How far the scrub has come: no row before it begins for the first time, one from then on.
CREATE TABLE scrub (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    running   INTEGER NOT NULL, -- 0 or 1
    began     INTEGER NOT NULL,
    completed INTEGER,
    after_id  TEXT NOT NULL,
    files     INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    of_files  INTEGER NOT NULL,
    of_bytes  INTEGER NOT NULL
) STRICT;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('file', 'file_damaged', '10 1');
ANALYZE sqlite_schema;
