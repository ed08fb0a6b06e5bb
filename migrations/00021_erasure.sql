-- docs/database.md explains every table, column and index.

-- +goose Up

-- What is being erased: a realm, or with NULL an organization.
CREATE TABLE erasure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    realm_id uuid,
    generation smallint NOT NULL,
    rows_left boolean NOT NULL,
    UNIQUE (organization_id, realm_id)
);

CREATE UNIQUE INDEX erasure_of_organization ON erasure (organization_id) WHERE realm_id IS NULL;
CREATE INDEX erasure_rows_left ON erasure (generation, id) WHERE rows_left;

CREATE TABLE erasure_object (
    erasure bigint NOT NULL REFERENCES erasure,
    block_id uuid NOT NULL,
    size bigint NOT NULL,
    due_on bigint NOT NULL,
    PRIMARY KEY (erasure, block_id)
);

-- Servers of the release before look at parsec3.realm_to_erase, where nothing comes
-- any more: they would forget which objects there are.
INSERT INTO erasure (organization_id, realm_id, generation, rows_left)
SELECT organization, realm_id, 3, true FROM parsec3.realm_to_erase;

ALTER TABLE realm ADD COLUMN deleted boolean NOT NULL DEFAULT false;

-- Uploads wait while it is built.
CREATE INDEX block_of_realm ON block (realm);
