-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE parsec3.enrollment (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    enrollment_id uuid NOT NULL,
    status text COLLATE "C" NOT NULL,
    email text COLLATE "C",
    submitted_on bigint NOT NULL,
    ended_on bigint,
    payload bytea,
    signature bytea,
    chain bytea[],
    entity text,
    size bigint NOT NULL,
    PRIMARY KEY (organization, enrollment_id),
    CHECK ((status = 'SUBMITTED') = (email IS NOT NULL)),
    CHECK ((status = 'SUBMITTED') = (ended_on IS NULL)),
    CHECK ((status IN ('SUBMITTED', 'ACCEPTED')) = (payload IS NOT NULL)),
    CHECK ((payload IS NOT NULL) = (signature IS NOT NULL)),
    CHECK (num_nonnulls(chain, entity) = num_nonnulls(payload))
);

CREATE UNIQUE INDEX enrollment_submitted ON parsec3.enrollment (organization, email) WHERE email IS NOT NULL;

-- Whoever may be known already is looked for without case.

CREATE TABLE parsec3.totp (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    secret bytea,
    completed boolean NOT NULL,
    reset_token bytea,
    PRIMARY KEY (organization, user_id),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_,
    CHECK (NOT completed OR secret IS NOT NULL AND reset_token IS NULL)
);

CREATE TABLE parsec3.totp_key (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    key_id uuid NOT NULL,
    key bytea NOT NULL,
    failures bigint NOT NULL,
    failed_on bigint NOT NULL,
    last_step bigint NOT NULL,
    PRIMARY KEY (organization, user_id, key_id),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
) WITH (fillfactor = 80);
