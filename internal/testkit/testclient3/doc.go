// Package testclient3 is the part of a client of API 5 that only tests need: the
// verification of all that a server hands out, keys bundles, a Resident that ends
// where an official client would, and what people join and come back by: both sides of
// a greeting, the shares of a recovery, the identities of a PKI, accounts.
//
// What it accepts of a server is what official clients accept
// (docs/protocol/v5/certificates.md §8 and quirks.md): Knowledge finds certificates
// incoherent that would lock an official client out.
package testclient3
