// Package protocol holds the messages of API 5: requests, replies, the events of
// streams, and the one table of commands (docs/protocol/v5/commands.md). It has no
// behaviour but two: it names the statuses, and it derives what an older client
// must be told instead of them.
//
// A request that exists was decoded, so its fields are valid. Its []byte
// fields alias the message that it came from: whoever keeps one beyond the
// command copies it.
package protocol
