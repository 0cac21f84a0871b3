-- +goose Up
-- What a link asks of people, and what it tells them, as canonical JSON; '' for a link that asks and tells nothing.
ALTER TABLE link ADD COLUMN access TEXT NOT NULL DEFAULT '';
-- A keyed hash of the recipient's address, by which lists find the link; NULL for none.
ALTER TABLE link ADD COLUMN recipient_hash BLOB;
CREATE INDEX link_by_recipient ON link (ledger, recipient_hash, created, id) WHERE ended <> 'revoked' AND recipient_hash IS NOT NULL;
-- The key of the hashes that stand in the index of entries, and in link.recipient_hash, for what is personal.
ALTER TABLE installation ADD COLUMN index_key BLOB NOT NULL DEFAULT x'';
UPDATE installation SET index_key = randomblob(32);
-- Entries from this seq on are in the index by their recipient and client address.
ALTER TABLE ledger ADD COLUMN personal_from INTEGER NOT NULL DEFAULT 0;
UPDATE ledger SET personal_from = indexed;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('link', 'link_by_recipient', '1000000 10000 10 1 1');
ANALYZE sqlite_schema;
