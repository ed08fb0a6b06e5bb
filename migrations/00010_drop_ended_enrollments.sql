-- docs/database.md explains every table, column and index.

-- +goose Up

-- What strangers sent is of no use once it is not accepted.
UPDATE pki_enrollment SET submitter_certificate = '', submit_payload = '', submit_payload_signature = ''
WHERE status IN ('CANCELLED', 'REJECTED');
