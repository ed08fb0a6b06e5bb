package server

import (
	"net/http"
	"time"
)

// HTTP/2 is spoken in TLS by clients that ask for it. The requests of a connection are
// streams, whose bodies the library receives before the server asks for them, into
// memory that no budget counts: so it is little (docs/limits.md).
const (
	// maxHTTP2Streams bounds the requests of one connection at a time, the least that
	// clients may count on (RFC 9113 §6.5.2). As many streams again, and up to four
	// times as many, may be reset before their request has begun: then the connection
	// ends.
	maxHTTP2Streams = 100
	// streamWindow is what may be received of a body that nobody reads, connectionWindow
	// of all those of a connection: some bodies that wait leave room for others.
	streamWindow     = 128 << 10
	connectionWindow = 4 * streamWindow
	// maxFrameBytes is the least that there is. A connection keeps room for the largest
	// frame that it ever received.
	maxFrameBytes = 16 << 10
)

// http2Limits are those of a connection whose peer may stop reading for a while.
func http2Limits(writeTimeout time.Duration) *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxHTTP2Streams,
		MaxReceiveBufferPerStream:     streamWindow,
		MaxReceiveBufferPerConnection: connectionWindow,
		MaxReadFrameSize:              maxFrameBytes,
		WriteByteTimeout:              writeTimeout,
	}
}

// isStream reports whether a request is a stream of a connection of HTTP/2. It has
// deadlines of its own, which cut it whether somebody reads or writes then or not.
func isStream(r *http.Request) bool { return r.ProtoMajor == 2 }
