-- +goose Up
-- Links without an end are found by themselves, so that ledger.longest tells of the others.
CREATE INDEX link_endless ON link (ledger, created, id) WHERE ended <> 'revoked' AND expires IS NULL;
UPDATE ledger SET longest = COALESCE((SELECT MAX(expires - created) FROM link WHERE link.ledger = ledger.id AND expires IS NOT NULL), 0);
