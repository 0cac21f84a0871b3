-- +goose Up
-- Mails that wait to be sent. No row has an address or a text: they are read when the mail is sent.
CREATE TABLE mail (
    ledger    INTEGER NOT NULL,
    link_id   TEXT NOT NULL,
    kind      TEXT NOT NULL,
    challenge TEXT NOT NULL, -- of a code; '' of other kinds
    id        TEXT NOT NULL, -- its Message-ID is made of it
    entry     TEXT NOT NULL, -- the newest that it tells of
    language  TEXT NOT NULL,
    n         INTEGER NOT NULL, -- how many entries it tells of; 0 keeps quiet until due
    rank      INTEGER NOT NULL, -- lower ones are sent first
    queued    INTEGER NOT NULL, -- when it was to be sent first
    due       INTEGER NOT NULL, -- when it is to be sent, or tried again
    expires   INTEGER NOT NULL, -- when it is given up
    attempts  INTEGER NOT NULL,
    PRIMARY KEY (ledger, link_id, kind, challenge)
) WITHOUT ROWID, STRICT;
CREATE INDEX mail_due ON mail (rank, due);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('mail', 'sqlite_autoindex_mail_1', '10000 1000 2 1 1'), ('mail', 'mail_due', '10000 3000 1');
ANALYZE sqlite_schema;
