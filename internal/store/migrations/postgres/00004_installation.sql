-- +goose Up
-- One row: the id of the installation, which is also in a marker beside its blobs.
CREATE TABLE installation (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL COLLATE "C"
);
INSERT INTO installation (one, id) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
