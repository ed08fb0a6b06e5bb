-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE conduit (
    invitation bigint NOT NULL REFERENCES invitation (id),
    greeter bigint NOT NULL REFERENCES user_,
    pending boolean NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT '1_WAIT_PEERS',
    exchange bigint NOT NULL DEFAULT 0,
    greeter_said bytea,
    greeter_heard bytea,
    claimer_said bytea,
    claimer_heard bytea,
    PRIMARY KEY (invitation, greeter)
) WITH (fillfactor = 70);

ALTER TABLE conduit ALTER COLUMN greeter_said SET STORAGE EXTERNAL;
ALTER TABLE conduit ALTER COLUMN greeter_heard SET STORAGE EXTERNAL;
ALTER TABLE conduit ALTER COLUMN claimer_said SET STORAGE EXTERNAL;
ALTER TABLE conduit ALTER COLUMN claimer_heard SET STORAGE EXTERNAL;

CREATE INDEX conduit_pending ON conduit (greeter) WHERE pending;

INSERT INTO conduit (invitation, greeter, pending, state, exchange, greeter_said, greeter_heard, claimer_said, claimer_heard)
SELECT id, greeter, deleted_on IS NULL, state, exchange, greeter_said, greeter_heard, claimer_said, claimer_heard
FROM invitation;

ALTER TABLE invitation
    ADD COLUMN claimer bigint REFERENCES user_,
    DROP COLUMN state,
    DROP COLUMN exchange,
    DROP COLUMN greeter_said,
    DROP COLUMN greeter_heard,
    DROP COLUMN claimer_said,
    DROP COLUMN claimer_heard;

CREATE UNIQUE INDEX invitation_recovery ON invitation (claimer) WHERE deleted_on IS NULL;
