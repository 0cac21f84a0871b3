-- +goose Up
-- Wrong passwords of links, by day and by address.
CREATE TABLE guess (
    ledger  BIGINT NOT NULL,
    link_id TEXT COLLATE "C" NOT NULL,
    address BYTEA NOT NULL, -- SHA-256 of link and network; 32 zeros for all of them
    day     BIGINT NOT NULL, -- begins then
    n       BIGINT NOT NULL,
    last    BIGINT NOT NULL, -- the newest of them
    PRIMARY KEY (ledger, link_id, address, day)
);
CREATE INDEX guess_by_day ON guess (day);
