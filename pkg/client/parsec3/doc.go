// Package parsec3 is a client of API 5: signed tokens, the certificates that
// official clients sign, keys bundles, the stream of events, and the verification
// of all that a server hands out.
//
// What it accepts of a server is what official clients accept
// (docs/protocol/v5/certificates.md §8 and quirks.md): Knowledge finds certificates
// incoherent that would lock an official client out.
package parsec3
