// Package testclient3 is the part of a client of API 5 that only tests need: the
// verification of all that a server hands out, keys bundles, and a Resident that
// ends where an official client would.
//
// What it accepts of a server is what official clients accept
// (docs/protocol/v5/certificates.md §8 and quirks.md): Knowledge finds certificates
// incoherent that would lock an official client out.
package testclient3
