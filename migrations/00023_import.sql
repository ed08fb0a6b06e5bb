-- docs/database.md explains every table, column and index.

-- +goose Up

-- Servers of the release before let clients into what is being imported: stop them.
ALTER TABLE organization ADD COLUMN importing boolean NOT NULL DEFAULT false;

-- Races of the official server leave versions that no reencryption has moved.
ALTER TABLE realm ADD COLUMN left_behind bigint NOT NULL DEFAULT 0;

CREATE TABLE import (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    generation smallint NOT NULL,
    base bigint NOT NULL,
    began_on bigint NOT NULL,
    completed_on bigint
);

CREATE TABLE import_organization (
    organization text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES organization (organization_id),
    import integer NOT NULL REFERENCES import
);

CREATE TABLE import_range (
    import integer NOT NULL REFERENCES import,
    log text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (import, log, first)
);
