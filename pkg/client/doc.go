// Package client is what the clients of all API versions share: HTTP requests,
// the event stream of HTTP, and the REST administration. Package
// client/parsec2 adds API 1 to 3.
//
// An HTTP answer other than the one wanted is an *HTTPError; a server that does
// not keep to docs/protocol is ErrProtocol.
package client
