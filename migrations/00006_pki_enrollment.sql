-- docs/database.md explains every table, column and index.

-- +goose Up

CREATE TABLE pki_enrollment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization integer NOT NULL REFERENCES organization,
    enrollment_id uuid NOT NULL,
    submitter_certificate bytea NOT NULL,
    submit_payload bytea NOT NULL,
    submit_payload_signature bytea NOT NULL,
    submitted_on bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    decided_on bigint,
    accepter text COLLATE "C",
    accepted_device text COLLATE "C",
    accepter_certificate bytea,
    accept_payload bytea,
    accept_payload_signature bytea,
    UNIQUE (organization, enrollment_id),
    CHECK ((status = 'SUBMITTED') = (decided_on IS NULL)),
    CHECK ((status = 'ACCEPTED') = (accepter IS NOT NULL)),
    CHECK ((status = 'ACCEPTED') = (accepted_device IS NOT NULL)),
    CHECK ((status = 'ACCEPTED') = (accepter_certificate IS NOT NULL)),
    CHECK ((status = 'ACCEPTED') = (accept_payload IS NOT NULL)),
    CHECK ((status = 'ACCEPTED') = (accept_payload_signature IS NOT NULL))
);

CREATE INDEX pki_enrollment_of_certificate ON pki_enrollment (organization, sha256(submitter_certificate), id);
CREATE INDEX pki_enrollment_submitted ON pki_enrollment (organization, id) WHERE status = 'SUBMITTED';
