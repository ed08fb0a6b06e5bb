// Package certificate reads and makes the signed payloads of Parsec 3
// (docs/protocol/v5/certificates.md). A Load function verifies the signature and
// who signed, and checks everything that needs no state: what it returns is valid.
// What the organization must know or allow is for the rules.
//
// Parsec 3 shares no certificate with API 1 to 3, whose signed bytes begin with
// zlib where these have a version byte: neither loads as the other.
package certificate
