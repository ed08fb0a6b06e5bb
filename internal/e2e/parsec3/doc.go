// Package parsec3 holds the end-to-end tests of API 5: the command as it is run, on
// real ports, and residents that end where an official client would
// (docs/protocol/v5/quirks.md).
//
// Nothing is waited for but replies, events, and the ends of streams.
package parsec3
