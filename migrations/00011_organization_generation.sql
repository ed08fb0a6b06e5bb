-- docs/database.md explains every table, column and index.

-- +goose Up

-- Servers of the release before leave it empty when they bootstrap an
-- organization meanwhile: then it is 2.
ALTER TABLE organization ADD COLUMN generation smallint;
UPDATE organization SET generation = 2 WHERE root_verify_key IS NOT NULL;
