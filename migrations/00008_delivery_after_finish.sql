-- docs/database.md explains every table, column and index.

-- +goose Up

-- What a side of a conduit has taken of the last exchange is kept, in columns of
-- its own: servers of the release before take those that they know as not taken
-- yet.
ALTER TABLE conduit
    ADD COLUMN last_state text COLLATE "C",
    ADD COLUMN last_exchange bigint,
    ADD COLUMN received boolean NOT NULL DEFAULT false,
    ADD COLUMN greeter_taken bytea,
    ADD COLUMN greeter_speaker uuid,
    ADD COLUMN claimer_taken bytea,
    ADD COLUMN claimer_speaker uuid;

ALTER TABLE conduit ALTER COLUMN greeter_taken SET STORAGE EXTERNAL;
ALTER TABLE conduit ALTER COLUMN claimer_taken SET STORAGE EXTERNAL;

CREATE INDEX conduit_forgotten ON conduit (invitation)
WHERE NOT pending AND (greeter_said IS NOT NULL OR greeter_heard IS NOT NULL OR greeter_taken IS NOT NULL
    OR claimer_said IS NOT NULL OR claimer_heard IS NOT NULL OR claimer_taken IS NOT NULL);
