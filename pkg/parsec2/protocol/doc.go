// Package protocol holds the messages of API 1, 2 and 3: requests, replies,
// events, handshake frames, and the one table of commands. It has no
// behaviour but two: it names the statuses, and it derives what an older
// client must be told instead of them.
//
// A request that exists was decoded, so its fields are valid. Its []byte
// fields alias the message that it came from: whoever keeps one beyond the
// command copies it.
package protocol
