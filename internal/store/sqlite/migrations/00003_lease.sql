-- +goose Up
-- Who does what one process at a time must do, and until when it may.
CREATE TABLE lease (
    name   TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL -- by the clock of the database
) STRICT;
