// Package parsec3 serves the clients of Parsec 3 over HTTP: API 5
// (docs/protocol/v5/transport.md). It reads who asks what, has pkg/parsec3/rules
// decide, and answers.
package parsec3
