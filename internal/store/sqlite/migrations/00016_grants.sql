-- +goose Up
-- The seq of the entry that counted the download; 0: the grant is closed; -1: an older version opened it. The time when
-- a grant expires does not identify it: the clock may stand still, or be set back.
ALTER TABLE open_grant ADD COLUMN seq INTEGER NOT NULL DEFAULT -1;
