-- docs/database.md explains every table, column and index.

-- +goose Up

-- Servers of the release before leave them as they are.
ALTER TABLE organization
    ADD COLUMN tos_urls text,
    ADD COLUMN tos_updated_on bigint,
    ADD CHECK ((tos_urls IS NULL) = (tos_updated_on IS NULL));

-- What follows is of Parsec 3 alone. The organization is the first column of every
-- key and index, so that the tables can be distributed by it.
CREATE SCHEMA parsec3;

CREATE TABLE parsec3.topic (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    topic text COLLATE "C" NOT NULL,
    last_date bigint NOT NULL,
    PRIMARY KEY (organization, topic)
) WITH (fillfactor = 50);

CREATE TABLE parsec3.certificate (
    organization text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    dated bigint NOT NULL,
    sequence smallint NOT NULL,
    certificate bytea NOT NULL,
    redacted bytea,
    PRIMARY KEY (organization, topic, realm_id, dated, sequence)
);

CREATE TABLE parsec3.user_ (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    user_id uuid NOT NULL,
    profile text COLLATE "C" NOT NULL,
    human_email text COLLATE "C" NOT NULL,
    human_label bytea NOT NULL,
    created_on bigint NOT NULL,
    revoked_on bigint,
    frozen boolean NOT NULL,
    tos_accepted_on bigint,
    PRIMARY KEY (organization, user_id)
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX user_active_human ON parsec3.user_ (organization, human_email) WHERE revoked_on IS NULL;
CREATE INDEX user_frozen ON parsec3.user_ (organization, user_id) WHERE frozen;

CREATE TABLE parsec3.user_profile (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    since bigint NOT NULL,
    profile text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, user_id, since),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
);

CREATE TABLE parsec3.user_count (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    profile text COLLATE "C" NOT NULL,
    revoked boolean NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (organization, profile, revoked)
) WITH (fillfactor = 50);

CREATE TABLE parsec3.device (
    organization text COLLATE "C" NOT NULL,
    device_id uuid NOT NULL,
    user_id uuid NOT NULL,
    verify_key bytea NOT NULL,
    created_on bigint NOT NULL,
    PRIMARY KEY (organization, device_id),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
);

CREATE TABLE parsec3.last_signed (
    organization text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    realm_id uuid NOT NULL,
    last_date bigint NOT NULL,
    PRIMARY KEY (organization, user_id, realm_id)
) WITH (fillfactor = 50);

CREATE TABLE parsec3.sequester_service (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    service_id uuid NOT NULL,
    label bytea NOT NULL,
    webhook_url text NOT NULL,
    created_on bigint NOT NULL,
    revoked_on bigint,
    PRIMARY KEY (organization, service_id)
);

CREATE TABLE parsec3.realm (
    organization text COLLATE "C" NOT NULL REFERENCES organization (organization_id),
    realm_id uuid NOT NULL,
    created_on bigint NOT NULL,
    last_date bigint NOT NULL,
    key_index bigint NOT NULL,
    named boolean NOT NULL,
    archiving text COLLATE "C" NOT NULL,
    deletion_date bigint,
    deleted boolean NOT NULL,
    PRIMARY KEY (organization, realm_id)
) WITH (fillfactor = 50);

CREATE TABLE parsec3.realm_counter (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    checkpoint bigint NOT NULL,
    last_vlob bigint NOT NULL,
    vlobs_size bigint NOT NULL,
    blocks_size bigint NOT NULL,
    PRIMARY KEY (organization, realm_id),
    FOREIGN KEY (organization, realm_id) REFERENCES parsec3.realm
) WITH (fillfactor = 50);

CREATE TABLE parsec3.realm_member (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text COLLATE "C",
    role_date bigint NOT NULL,
    given_date bigint NOT NULL,
    managing_date bigint NOT NULL,
    PRIMARY KEY (organization, realm_id, user_id),
    FOREIGN KEY (organization, realm_id) REFERENCES parsec3.realm,
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
) WITH (fillfactor = 80);

CREATE INDEX realm_member_of_user ON parsec3.realm_member (organization, user_id, realm_id);

CREATE TABLE parsec3.keys_bundle (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    key_index bigint NOT NULL,
    bundle bytea NOT NULL,
    PRIMARY KEY (organization, realm_id, key_index),
    FOREIGN KEY (organization, realm_id) REFERENCES parsec3.realm
);

CREATE TABLE parsec3.keys_bundle_access (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    user_id uuid NOT NULL,
    key_index bigint NOT NULL,
    dated bigint NOT NULL,
    access bytea NOT NULL,
    PRIMARY KEY (organization, realm_id, user_id, key_index, dated),
    FOREIGN KEY (organization, user_id) REFERENCES parsec3.user_
);

CREATE TABLE parsec3.sequester_access (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    key_index bigint NOT NULL,
    service_id uuid NOT NULL,
    access bytea NOT NULL,
    PRIMARY KEY (organization, realm_id, key_index, service_id),
    FOREIGN KEY (organization, service_id) REFERENCES parsec3.sequester_service
);

CREATE TABLE parsec3.vlob (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    vlob_id uuid NOT NULL,
    version bigint NOT NULL,
    checkpoint bigint NOT NULL,
    PRIMARY KEY (organization, realm_id, vlob_id)
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX vlob_changed ON parsec3.vlob (organization, realm_id, checkpoint) WHERE checkpoint > 0;

CREATE TABLE parsec3.vlob_atom (
    organization text COLLATE "C" NOT NULL,
    realm_id uuid NOT NULL,
    vlob_id uuid NOT NULL,
    version bigint NOT NULL,
    key_index bigint NOT NULL,
    author uuid NOT NULL,
    written_on bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (organization, realm_id, vlob_id, version)
);

CREATE TABLE parsec3.block (
    organization text COLLATE "C" NOT NULL,
    block_id uuid NOT NULL,
    realm_id uuid NOT NULL,
    key_index bigint,
    author uuid,
    size bigint,
    created_on bigint,
    checksum bytea,
    upload_token uuid,
    upload_until bigint,
    PRIMARY KEY (organization, block_id),
    CHECK ((upload_token IS NULL) = (upload_until IS NULL)),
    CHECK ((upload_token IS NULL) = (key_index IS NOT NULL)),
    CHECK ((upload_token IS NULL) = (author IS NOT NULL)),
    CHECK ((upload_token IS NULL) = (size IS NOT NULL)),
    CHECK ((upload_token IS NULL) = (created_on IS NOT NULL))
);

CREATE INDEX block_of_realm ON parsec3.block (organization, realm_id);
CREATE INDEX block_uploading ON parsec3.block (organization, upload_until) WHERE upload_token IS NOT NULL;

-- Signed and encrypted bytes do not compress.
ALTER TABLE parsec3.certificate ALTER COLUMN certificate SET STORAGE EXTERNAL;
ALTER TABLE parsec3.certificate ALTER COLUMN redacted SET STORAGE EXTERNAL;
ALTER TABLE parsec3.keys_bundle ALTER COLUMN bundle SET STORAGE EXTERNAL;
ALTER TABLE parsec3.vlob_atom ALTER COLUMN blob SET STORAGE EXTERNAL;
