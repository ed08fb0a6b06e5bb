-- docs/database.md explains every table, column and index.

-- +goose Up

-- What an organization holds is summed up in the background. The realms that there
-- are, and those of servers of the release before, are not summed up yet.
ALTER TABLE parsec3.realm_counter
    ADD COLUMN summed_vlobs bigint NOT NULL DEFAULT 0,
    ADD COLUMN summed_blocks bigint NOT NULL DEFAULT 0,
    ADD COLUMN unsummed boolean NOT NULL DEFAULT true;

CREATE INDEX realm_counter_unsummed ON parsec3.realm_counter (organization, realm_id) WHERE unsummed;

CREATE TABLE parsec3.usage (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    vlobs_size bigint NOT NULL,
    blocks_size bigint NOT NULL,
    PRIMARY KEY (organization)
) WITH (fillfactor = 50);

CREATE TABLE parsec3.realm_to_erase (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    PRIMARY KEY (organization, realm_id),
    FOREIGN KEY (organization, realm_id) REFERENCES parsec3.realm
);
