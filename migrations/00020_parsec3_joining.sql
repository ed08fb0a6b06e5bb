-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE parsec3.presence (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    instance bigint NOT NULL,
    PRIMARY KEY (organization, user_id, instance)
);

-- The attempts of an invitation are erased a while after its end.
ALTER TABLE parsec3.invitation ADD COLUMN attempts_erased boolean NOT NULL DEFAULT false;
CREATE INDEX invitation_ended ON parsec3.invitation (organization, ended_on) WHERE ended_on IS NOT NULL AND NOT attempts_erased;
CREATE INDEX greeting_attempt_ended ON parsec3.greeting_attempt (organization, token, greeter, cancelled_on) WHERE cancelled_on IS NOT NULL;

-- What is left of an enrollment that was cancelled or rejected goes, too.
CREATE INDEX enrollment_refused ON parsec3.enrollment (organization, ended_on) WHERE payload IS NULL;

-- Who is invited to recover may guess at what the shares protect.
CREATE TABLE parsec3.shamir_guess (
    organization text COLLATE "C" NOT NULL,
    token uuid NOT NULL,
    wrong_on bigint[] NOT NULL,
    PRIMARY KEY (organization, token),
    FOREIGN KEY (organization, token) REFERENCES parsec3.invitation
);
