-- +goose Up
-- A MAC over the row under a signing key, NULL for a row of an older version and for one that is revoked: see package
-- seal.
ALTER TABLE key ADD COLUMN seal BYTEA;
ALTER TABLE link ADD COLUMN seal BYTEA;
