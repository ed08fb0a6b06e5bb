-- docs/database.md explains every table, column and index.

-- +goose Up

-- An export reads the copies of a realm for a service in order of checkpoint.
ALTER TABLE sequester_copy ADD COLUMN realm bigint, ADD COLUMN checkpoint bigint;

-- Which checkpoint a version had that is not the latest is not known any more:
-- all versions of a realm are numbered anew, by their dates.
UPDATE sequester_copy c SET realm = numbered.realm, checkpoint = numbered.checkpoint
FROM (
    SELECT v.realm, v.id, a.version, row_number() OVER (PARTITION BY v.realm ORDER BY a.written_on, v.id, a.version) AS checkpoint
    FROM vlob v JOIN realm r ON r.id = v.realm
    JOIN vlob_atom a ON a.vlob = v.id AND a.revision = r.encryption_revision - (r.maintenance_type IS NOT NULL)::int
) numbered
WHERE numbered.id = c.vlob AND numbered.version = c.version;

ALTER TABLE sequester_copy
    DROP CONSTRAINT sequester_copy_pkey,
    ADD PRIMARY KEY (realm, service, checkpoint);
