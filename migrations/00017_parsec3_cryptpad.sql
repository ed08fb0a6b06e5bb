-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE parsec3.cryptpad_session (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    document_id uuid NOT NULL,
    author uuid NOT NULL,
    registered_on bigint NOT NULL,
    key_index bigint NOT NULL,
    view_key bytea NOT NULL,
    edit_key bytea,
    PRIMARY KEY (organization, realm_id, document_id),
    FOREIGN KEY (organization, realm_id) REFERENCES parsec3.realm
);
