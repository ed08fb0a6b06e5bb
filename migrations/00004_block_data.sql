-- +goose Up
CREATE TABLE block_data (
    organization_id text COLLATE "C" NOT NULL,
    block_id uuid NOT NULL,
    data bytea NOT NULL,
    written_on timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (organization_id, block_id)
);

-- Encrypted bytes do not compress.
ALTER TABLE block_data ALTER COLUMN data SET STORAGE EXTERNAL;
