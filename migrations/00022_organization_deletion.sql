-- docs/database.md explains every table, column and index.

-- +goose Up

-- Since when an organization is being deleted. Servers of the release before know
-- nothing of it, and must not open one again.
ALTER TABLE organization
    ADD COLUMN deleted_on bigint,
    ADD CONSTRAINT organization_deleted_is_expired CHECK (deleted_on IS NULL OR expiration_date IS NOT NULL);

-- Who deletes the objects of an organization, which one at a time does, and until when
-- others leave it alone.
ALTER TABLE erasure
    ADD COLUMN held_by uuid,
    ADD COLUMN held_until bigint,
    ADD CHECK ((held_by IS NULL) = (held_until IS NULL));
