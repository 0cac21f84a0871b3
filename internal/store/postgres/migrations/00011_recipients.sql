-- +goose Up
-- What a link asks of people, and what it tells them, as canonical JSON; '' for a link that asks and tells nothing.
ALTER TABLE link ADD COLUMN access TEXT COLLATE "C" NOT NULL DEFAULT '';
-- A keyed hash of the recipient's address, by which lists find the link; NULL for none.
ALTER TABLE link ADD COLUMN recipient_hash BYTEA;
CREATE INDEX link_by_recipient ON link (ledger, recipient_hash, created, id) WHERE ended <> 'revoked' AND recipient_hash IS NOT NULL;
-- The key of the hashes that stand in the index of entries, and in link.recipient_hash, for what is personal.
ALTER TABLE installation ADD COLUMN index_key BYTEA NOT NULL DEFAULT '';
UPDATE installation SET index_key = decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
-- Entries from this seq on are in the index by their recipient and client address.
ALTER TABLE ledger ADD COLUMN personal_from BIGINT NOT NULL DEFAULT 0;
UPDATE ledger SET personal_from = indexed;
