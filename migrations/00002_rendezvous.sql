-- docs/database.md explains every table, column and index.

-- +goose Up

ALTER TABLE invitation
    ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN deleted_reason text COLLATE "C",
    ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT '1_WAIT_PEERS',
    ADD COLUMN exchange bigint NOT NULL DEFAULT 0,
    ADD COLUMN greeter_said bytea,
    ADD COLUMN greeter_heard bytea,
    ADD COLUMN claimer_said bytea,
    ADD COLUMN claimer_heard bytea;

ALTER TABLE invitation ALTER COLUMN greeter_said SET STORAGE EXTERNAL;
ALTER TABLE invitation ALTER COLUMN greeter_heard SET STORAGE EXTERNAL;
ALTER TABLE invitation ALTER COLUMN claimer_said SET STORAGE EXTERNAL;
ALTER TABLE invitation ALTER COLUMN claimer_heard SET STORAGE EXTERNAL;
ALTER TABLE invitation SET (fillfactor = 70);

CREATE INDEX invitation_pending ON invitation (greeter) WHERE deleted_on IS NULL;

CREATE TABLE claimer_presence (
    connection uuid PRIMARY KEY,
    invitation bigint NOT NULL REFERENCES invitation (id),
    until bigint NOT NULL
);

CREATE INDEX claimer_presence_of_invitation ON claimer_presence (invitation);
CREATE INDEX claimer_presence_lapsed ON claimer_presence (until);
