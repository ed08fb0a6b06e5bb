-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE organization (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL UNIQUE,
    bootstrap_token text NOT NULL,
    root_verify_key bytea,
    expiration_date bigint,
    user_profile_outsider_allowed boolean NOT NULL,
    active_users_limit bigint,
    minimum_archiving_period bigint NOT NULL,
    sequester_authority_certificate bytea,
    sequester_verify_key_der bytea,
    created_on bigint NOT NULL,
    bootstrapped_on bigint
);

CREATE TABLE sequester_service (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization,
    service_id uuid NOT NULL,
    label bytea NOT NULL,
    certificate bytea NOT NULL,
    webhook_url text NOT NULL,
    created_on bigint NOT NULL,
    disabled_on bigint,
    UNIQUE (organization, service_id)
);

CREATE TABLE user_ (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization,
    user_id text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    human_email text COLLATE "C",
    human_label bytea,
    certificate bytea NOT NULL,
    redacted_certificate bytea NOT NULL,
    certifier text COLLATE "C" NOT NULL,
    created_on bigint NOT NULL,
    revoked_certificate bytea,
    revoked_certifier text COLLATE "C",
    revoked_on bigint,
    frozen boolean NOT NULL DEFAULT false,
    message_count bigint NOT NULL DEFAULT 0,
    UNIQUE (organization, user_id),
    CHECK ((human_email IS NULL) = (human_label IS NULL)),
    CHECK ((revoked_certificate IS NULL) = (revoked_on IS NULL)),
    CHECK ((revoked_certifier IS NULL) = (revoked_on IS NULL))
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX user_active_human ON user_ (organization, human_email) WHERE revoked_on IS NULL;

CREATE TABLE user_count (
    organization integer NOT NULL REFERENCES organization,
    profile text COLLATE "C" NOT NULL,
    revoked boolean NOT NULL,
    frozen boolean NOT NULL,
    users bigint NOT NULL,
    PRIMARY KEY (organization, profile, revoked, frozen)
);

CREATE TABLE device (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_ bigint NOT NULL REFERENCES user_,
    name text COLLATE "C" NOT NULL,
    label bytea,
    verify_key bytea NOT NULL,
    certificate bytea NOT NULL,
    redacted_certificate bytea NOT NULL,
    certifier text COLLATE "C" NOT NULL,
    created_on bigint NOT NULL,
    UNIQUE (user_, name)
);

CREATE TABLE message (
    recipient bigint NOT NULL,
    position bigint NOT NULL,
    sender bigint NOT NULL,
    sent_on bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (recipient, position)
);

CREATE TABLE invitation (
    organization integer NOT NULL REFERENCES organization,
    token uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    greeter bigint NOT NULL REFERENCES user_,
    claimer_email bytea NOT NULL,
    created_on bigint NOT NULL,
    deleted_on bigint,
    PRIMARY KEY (organization, token)
);

CREATE TABLE invitation_v1 (
    organization integer NOT NULL REFERENCES organization,
    invitee text COLLATE "C" NOT NULL,
    creator text COLLATE "C" NOT NULL,
    created_on bigint NOT NULL,
    PRIMARY KEY (organization, invitee)
);

CREATE TABLE realm (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization,
    realm_id uuid NOT NULL,
    created_on bigint NOT NULL,
    encryption_revision integer NOT NULL DEFAULT 1,
    maintenance_type text COLLATE "C",
    maintenance_started_on bigint,
    maintenance_started_by text COLLATE "C",
    reencrypted bigint NOT NULL DEFAULT 0,
    reencrypted_through bigint NOT NULL DEFAULT 0,
    kept_revision integer NOT NULL DEFAULT 1,
    archiving_type text COLLATE "C",
    archiving_deletion_date bigint,
    archiving_configured_on bigint,
    archiving_configured_by text COLLATE "C",
    checkpoint bigint NOT NULL DEFAULT 0,
    vlobs_size bigint NOT NULL DEFAULT 0,
    blocks_size bigint NOT NULL DEFAULT 0,
    UNIQUE (organization, realm_id),
    CHECK ((maintenance_type IS NULL) = (maintenance_started_on IS NULL)),
    CHECK ((maintenance_type IS NULL) = (maintenance_started_by IS NULL)),
    CHECK ((archiving_type IS NULL) = (archiving_configured_on IS NULL)),
    CHECK ((archiving_type IS NULL) = (archiving_configured_by IS NULL))
) WITH (fillfactor = 70);

CREATE INDEX realm_to_prune ON realm (id)
    WHERE kept_revision < encryption_revision AND maintenance_type IS NULL;

CREATE TABLE realm_member (
    realm bigint NOT NULL REFERENCES realm,
    user_ bigint NOT NULL REFERENCES user_,
    role text COLLATE "C",
    role_certified_on bigint NOT NULL DEFAULT 0,
    last_vlob_update bigint NOT NULL DEFAULT 0,
    last_role_change bigint NOT NULL DEFAULT 0,
    last_archiving_change bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (realm, user_)
) WITH (fillfactor = 80);

CREATE INDEX realm_member_of_user ON realm_member (user_) WHERE role IS NOT NULL;

CREATE TABLE realm_role_certificate (
    id bigint GENERATED ALWAYS AS IDENTITY,
    realm bigint NOT NULL REFERENCES realm,
    user_ bigint NOT NULL REFERENCES user_,
    role text COLLATE "C",
    certificate bytea NOT NULL,
    author text COLLATE "C" NOT NULL,
    certified_on bigint NOT NULL,
    PRIMARY KEY (realm, certified_on, id)
);

CREATE TABLE realm_archiving_certificate (
    id bigint GENERATED ALWAYS AS IDENTITY,
    realm bigint NOT NULL REFERENCES realm,
    certificate bytea NOT NULL,
    author text COLLATE "C" NOT NULL,
    certified_on bigint NOT NULL,
    PRIMARY KEY (realm, certified_on, id)
);

CREATE TABLE vlob (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL,
    vlob_id uuid NOT NULL,
    realm bigint NOT NULL,
    version bigint NOT NULL,
    updated_on bigint NOT NULL,
    checkpoint bigint NOT NULL,
    UNIQUE (organization, vlob_id),
    UNIQUE (realm, checkpoint)
) WITH (fillfactor = 90);

CREATE TABLE vlob_atom (
    vlob bigint NOT NULL,
    revision integer NOT NULL,
    version bigint NOT NULL,
    author bigint NOT NULL,
    written_on bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (vlob, revision, version)
);

CREATE TABLE sequester_copy (
    vlob bigint NOT NULL,
    version bigint NOT NULL,
    service integer NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (vlob, version, service)
);

CREATE TABLE block (
    organization integer NOT NULL,
    block_id uuid NOT NULL,
    realm bigint NOT NULL,
    author bigint,
    size bigint,
    created_on bigint,
    upload_token uuid,
    upload_until bigint,
    PRIMARY KEY (organization, block_id),
    CHECK ((upload_token IS NULL) = (upload_until IS NULL)),
    CHECK ((upload_token IS NULL) = (author IS NOT NULL)),
    CHECK ((upload_token IS NULL) = (size IS NOT NULL)),
    CHECK ((upload_token IS NULL) = (created_on IS NOT NULL))
);

CREATE INDEX block_uploading ON block (upload_until) WHERE upload_token IS NOT NULL;

CREATE TABLE event_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    written_on timestamptz NOT NULL DEFAULT clock_timestamp(),
    organizations text[] NOT NULL,
    authors text[] NOT NULL,
    kinds text[] NOT NULL,
    bodies bytea[] NOT NULL
);

-- The outbox always has a row: it is where the first reader begins.
INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ('{}', '{}', '{}', '{}');

-- Encrypted bytes do not compress.
ALTER TABLE vlob_atom ALTER COLUMN blob SET STORAGE EXTERNAL;
ALTER TABLE sequester_copy ALTER COLUMN blob SET STORAGE EXTERNAL;
ALTER TABLE message ALTER COLUMN body SET STORAGE EXTERNAL;
