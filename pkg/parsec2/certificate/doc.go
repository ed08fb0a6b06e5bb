// Package certificate makes, verifies and reads the signed payloads of
// docs/protocol/certificates.md: certificates and the payloads of PKI
// enrollments.
//
// A value that Load returned was signed by the key and the author given, and
// every field is valid. What Sign returns, Load accepts. The bytes of a
// certificate are stored and served as received: reading one and signing it
// again makes other bytes.
//
// Whether a certificate is acceptable where it comes from (its date, its
// subject, its redacted form) is for the rules, not for this package.
package certificate
