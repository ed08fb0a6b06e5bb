-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE parsec3.shamir_setup (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    created_on bigint NOT NULL,
    threshold smallint NOT NULL,
    reveal_token bytea NOT NULL,
    ciphered_data bytea,
    deleted_on bigint,
    PRIMARY KEY (organization, user_id, created_on),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_,
    CHECK ((ciphered_data IS NULL) = (deleted_on IS NOT NULL))
);

CREATE UNIQUE INDEX shamir_setup_current ON parsec3.shamir_setup (organization, user_id) WHERE deleted_on IS NULL;
-- No token is empty: the condition keeps the index from being taken where something
-- else is looked for.
CREATE UNIQUE INDEX shamir_setup_token ON parsec3.shamir_setup (organization, reveal_token) WHERE reveal_token > '';

CREATE TABLE parsec3.shamir_share (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    created_on bigint NOT NULL,
    recipient uuid NOT NULL,
    shares smallint NOT NULL,
    PRIMARY KEY (organization, user_id, created_on, recipient),
    FOREIGN KEY (organization, user_id, created_on) REFERENCES parsec3.shamir_setup,
    FOREIGN KEY (organization, recipient) REFERENCES parsec3.user_
);

CREATE TABLE parsec3.shamir_seen (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    dated bigint NOT NULL,
    sequence smallint NOT NULL,
    PRIMARY KEY (organization, user_id, dated, sequence),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
);

CREATE INDEX shamir_share_of_recipient ON parsec3.shamir_share (organization, recipient, user_id, created_on);

ALTER TABLE parsec3.invitation ADD FOREIGN KEY (organization, claimer_user, setup_date) REFERENCES parsec3.shamir_setup;

ALTER TABLE parsec3.shamir_setup ALTER COLUMN ciphered_data SET STORAGE EXTERNAL;
