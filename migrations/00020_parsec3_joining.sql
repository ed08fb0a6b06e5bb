-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE parsec3.presence (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    instance bigint NOT NULL,
    PRIMARY KEY (organization, user_id, instance)
);
