-- +goose Up
CREATE TABLE shamir_recovery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization,
    owner bigint NOT NULL REFERENCES user_,
    current boolean NOT NULL,
    reveal_token uuid NOT NULL,
    ciphered_data bytea NOT NULL,
    brief_certificate bytea NOT NULL,
    threshold bigint NOT NULL,
    created_on bigint NOT NULL,
    UNIQUE (organization, reveal_token)
);

CREATE UNIQUE INDEX shamir_recovery_current ON shamir_recovery (owner) WHERE current;

CREATE TABLE shamir_recovery_share (
    setup bigint NOT NULL REFERENCES shamir_recovery,
    recipient bigint NOT NULL REFERENCES user_,
    shares bigint NOT NULL,
    certificate bytea NOT NULL,
    PRIMARY KEY (setup, recipient)
);

CREATE INDEX shamir_recovery_share_of_recipient ON shamir_recovery_share (recipient);
