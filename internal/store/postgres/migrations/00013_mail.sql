-- +goose Up
-- Mails that wait to be sent. No row has an address or a text: they are read when the mail is sent.
CREATE TABLE mail (
    ledger    BIGINT NOT NULL,
    link_id   TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    challenge TEXT COLLATE "C" NOT NULL, -- of a code; '' of other kinds
    id        TEXT COLLATE "C" NOT NULL, -- its Message-ID is made of it
    entry     TEXT COLLATE "C" NOT NULL, -- the newest that it tells of
    language  TEXT COLLATE "C" NOT NULL,
    n         BIGINT NOT NULL, -- how many entries it tells of; 0 keeps quiet until due
    rank      BIGINT NOT NULL, -- lower ones are sent first
    queued    BIGINT NOT NULL, -- when it was to be sent first
    due       BIGINT NOT NULL, -- when it is to be sent, or tried again
    expires   BIGINT NOT NULL, -- when it is given up
    attempts  BIGINT NOT NULL,
    PRIMARY KEY (ledger, link_id, kind, challenge)
);
CREATE INDEX mail_due ON mail (rank, due);
