-- +goose Up
-- CRC-32 (IEEE 802.3) of the bytes, NULL while it is not known: files that are older than this column get it when
-- they are read the next time.
ALTER TABLE file ADD COLUMN crc32 BIGINT;
-- What the scrub found in place of the bytes, as canonical JSON, NULL for a file that is not known to be damaged.
ALTER TABLE file ADD COLUMN damage TEXT COLLATE "C";
CREATE INDEX file_damaged ON file (id) WHERE damage IS NOT NULL AND deleted IS NULL;
-- How far the scrub has come: no row before it begins for the first time, one from then on.
CREATE TABLE scrub (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    running   BIGINT NOT NULL, -- 0 or 1
    began     BIGINT NOT NULL,
    completed BIGINT,
    after_id  TEXT COLLATE "C" NOT NULL,
    files     BIGINT NOT NULL,
    bytes     BIGINT NOT NULL,
    of_files  BIGINT NOT NULL,
    of_bytes  BIGINT NOT NULL
);
