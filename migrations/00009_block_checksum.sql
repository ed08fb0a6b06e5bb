-- docs/database.md explains every table, column and index.

-- +goose Up

-- Blocks that were written before, and those that servers of the release before
-- write meanwhile, have none.
ALTER TABLE block ADD COLUMN checksum bytea;
