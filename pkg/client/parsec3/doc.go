// Package parsec3 is a client of API 5: tokens, the certificates that
// official clients sign, commands, and the stream of events.
package parsec3
