-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE instance (
    lock bigint NOT NULL PRIMARY KEY,
    vanished_on timestamptz
);
