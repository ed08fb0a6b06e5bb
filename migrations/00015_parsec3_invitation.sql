-- docs/database.md explains every table, column and index.

-- +goose Up

-- Who is invited or enrolled already is compared without case. No address is empty: the
-- condition keeps the index from being taken where something else is looked for.
CREATE INDEX user_mailbox ON parsec3.user_ (organization, lower(human_email)) WHERE revoked_on IS NULL AND lower(human_email) > '';
CREATE INDEX user_administrator ON parsec3.user_ (organization, user_id) WHERE profile = 'ADMIN' AND revoked_on IS NULL;

CREATE TABLE parsec3.invitation (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    token uuid NOT NULL,
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type text COLLATE "C" NOT NULL,
    created_by uuid NOT NULL,
    created_on bigint NOT NULL,
    claimer_email text COLLATE "C",
    claimer_user uuid,
    setup_date bigint,
    ended_on bigint,
    ended_as text COLLATE "C",
    PRIMARY KEY (organization, token),
    FOREIGN KEY (organization, created_by) REFERENCES parsec3.user_,
    FOREIGN KEY (organization, claimer_user) REFERENCES parsec3.user_,
    CHECK ((type = 'USER') = (claimer_email IS NOT NULL)),
    CHECK ((type = 'USER') = (claimer_user IS NULL)),
    CHECK ((type = 'SHAMIR_RECOVERY') = (setup_date IS NOT NULL)),
    CHECK ((ended_on IS NULL) = (ended_as IS NULL))
) WITH (fillfactor = 90);

CREATE INDEX invitation_of_mailbox ON parsec3.invitation (organization, lower(claimer_email)) WHERE ended_on IS NULL AND type = 'USER';
CREATE INDEX invitation_of_claimer ON parsec3.invitation (organization, claimer_user) WHERE claimer_user IS NOT NULL;
CREATE INDEX invitation_of_users ON parsec3.invitation (organization, coalesce(ended_on, 9223372036854775807)) WHERE type = 'USER';

CREATE TABLE parsec3.greeting_attempt (
    organization text COLLATE "C" NOT NULL,
    attempt_id uuid NOT NULL,
    token uuid NOT NULL,
    greeter uuid NOT NULL,
    greeter_joined bigint,
    claimer_joined bigint,
    cancelled_by text COLLATE "C",
    cancelled_on bigint,
    cancelled_for text COLLATE "C",
    version bigint NOT NULL,
    greeter_said bytea[] NOT NULL,
    claimer_said bytea[] NOT NULL,
    PRIMARY KEY (organization, attempt_id),
    FOREIGN KEY (organization, token) REFERENCES parsec3.invitation,
    FOREIGN KEY (organization, greeter) REFERENCES parsec3.user_,
    CHECK ((cancelled_by IS NULL) = (cancelled_on IS NULL)),
    CHECK ((cancelled_by IS NULL) = (cancelled_for IS NULL))
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX greeting_attempt_active ON parsec3.greeting_attempt (organization, token, greeter) WHERE cancelled_on IS NULL;
CREATE INDEX greeting_attempt_joined ON parsec3.greeting_attempt (organization, token, greeter, greeter_joined) WHERE greeter_joined IS NOT NULL;

ALTER TABLE parsec3.greeting_attempt ALTER COLUMN greeter_said SET STORAGE EXTERNAL;
ALTER TABLE parsec3.greeting_attempt ALTER COLUMN claimer_said SET STORAGE EXTERNAL;
