-- docs/database.md explains every table, column and index.

-- +goose Up

-- Accounts are of the server, and of no organization: what follows has none.
CREATE TABLE parsec3.account (
    account_id uuid NOT NULL PRIMARY KEY,
    email text COLLATE "C" NOT NULL,
    label bytea NOT NULL,
    vault bigint NOT NULL
);

CREATE UNIQUE INDEX account_email ON parsec3.account (email);

CREATE TABLE parsec3.account_vault (
    account_id uuid NOT NULL REFERENCES parsec3.account,
    vault bigint NOT NULL,
    items bigint NOT NULL,
    methods bigint NOT NULL,
    size bigint NOT NULL,
    PRIMARY KEY (account_id, vault)
) WITH (fillfactor = 80);

CREATE TABLE parsec3.account_method (
    method_id uuid NOT NULL PRIMARY KEY,
    account_id uuid NOT NULL,
    vault bigint NOT NULL,
    created_on bigint NOT NULL,
    created_by_ip text NOT NULL,
    created_by_user_agent text NOT NULL,
    mac_key bytea NOT NULL,
    vault_key_access bytea NOT NULL,
    memlimit_kb bigint,
    opslimit bigint,
    parallelism bigint,
    disabled_on bigint,
    FOREIGN KEY (account_id, vault) REFERENCES parsec3.account_vault,
    CHECK ((memlimit_kb IS NULL) = (opslimit IS NULL)),
    CHECK ((memlimit_kb IS NULL) = (parallelism IS NULL))
);

CREATE INDEX account_method_of_vault ON parsec3.account_method (account_id, vault);
CREATE UNIQUE INDEX account_method_password ON parsec3.account_method (account_id) WHERE disabled_on IS NULL AND memlimit_kb IS NOT NULL;

CREATE TABLE parsec3.account_item (
    account_id uuid NOT NULL,
    vault bigint NOT NULL,
    fingerprint bytea NOT NULL,
    item bytea NOT NULL,
    PRIMARY KEY (account_id, vault, fingerprint),
    FOREIGN KEY (account_id, vault) REFERENCES parsec3.account_vault
);

CREATE TABLE parsec3.account_code (
    email text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    hash bytea,
    created_on bigint NOT NULL,
    tries bigint NOT NULL,
    wrong_tries bigint[] NOT NULL,
    PRIMARY KEY (email, kind)
) WITH (fillfactor = 80);

CREATE INDEX account_code_created ON parsec3.account_code (created_on);

CREATE TABLE parsec3.account_mail (
    sent_on bigint NOT NULL,
    mail_id uuid NOT NULL,
    mailbox text COLLATE "C" NOT NULL,
    network text COLLATE "C",
    PRIMARY KEY (sent_on, mail_id)
);

CREATE INDEX account_mail_to ON parsec3.account_mail (mailbox, sent_on);
CREATE INDEX account_mail_from ON parsec3.account_mail (network, sent_on) WHERE network IS NOT NULL;

-- Accounts ask for the users with their e-mail address, and for who is invited by it, in
-- every organization.
CREATE INDEX user_of_account ON parsec3.user_ (lower(human_email), organization);
CREATE INDEX invitation_of_account ON parsec3.invitation (lower(claimer_email), organization) WHERE ended_on IS NULL AND claimer_email IS NOT NULL;

-- Encrypted bytes do not compress.
ALTER TABLE parsec3.account_method ALTER COLUMN vault_key_access SET STORAGE EXTERNAL;
ALTER TABLE parsec3.account_item ALTER COLUMN item SET STORAGE EXTERNAL;
