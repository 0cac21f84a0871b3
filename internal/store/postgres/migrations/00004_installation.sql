-- +goose Up
-- One row: the id of the installation, which is also in a marker beside its blobs. Where there are accounts, it is made
-- from the id of the oldest one: each copy of a database from before gets the same. A new database gets a random one.
CREATE TABLE installation (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL COLLATE "C"
);
INSERT INTO installation (one, id) VALUES (1, coalesce(
    (SELECT replace(id, '_', '') FROM account ORDER BY created, id LIMIT 1),
    replace(gen_random_uuid()::text, '-', '')));
