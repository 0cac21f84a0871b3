-- +goose Up
-- An entry of deliveries may now have several links and files, and is found by the seqs of its redemptions. Older
-- binaries do not index it so. The number of this migration has them refuse the database.
SELECT 1;
