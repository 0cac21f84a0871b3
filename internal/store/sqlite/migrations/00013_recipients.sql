-- +goose Up
-- What a link asks of people, and what it tells them, as canonical JSON; '' for a link that asks and tells nothing.
ALTER TABLE link ADD COLUMN access TEXT NOT NULL DEFAULT '';
-- A keyed hash of the recipient's address, by which lists find the link; NULL for none.
ALTER TABLE link ADD COLUMN recipient_hash BLOB;
CREATE INDEX link_by_recipient ON link (ledger, recipient_hash, created, id) WHERE ended <> 'revoked' AND recipient_hash IS NOT NULL;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('link', 'link_by_recipient', '1000000 10000 10 1 1');
ANALYZE sqlite_schema;
