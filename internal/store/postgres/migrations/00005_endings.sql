-- +goose Up
-- An ending is a key that was revoked, or a file that was deleted, and whose links are not all marked yet. Links are
-- marked a few at a time; until then a reader derives what they are from this table.
CREATE TABLE ending (
    ledger        BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL, -- 'key' or 'file'
    object        TEXT COLLATE "C" NOT NULL, -- its id
    ended_at      BIGINT NOT NULL,
    after_created BIGINT NOT NULL, -- links up to this one are marked; of a key, it is when they expire
    after_id      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ledger, kind, object)
);
CREATE INDEX ending_by_time ON ending (ledger, ended_at);
ALTER TABLE ledger ADD COLUMN endings BIGINT NOT NULL DEFAULT 0; -- how many rows of ending it has
CREATE INDEX ledger_with_endings ON ledger (id) WHERE endings > 0;
