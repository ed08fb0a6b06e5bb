package parsec2

import (
	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec"
)

// Client reaches one server. It may be used by several goroutines.
type Client struct{ *client.Client }

// New returns a client of the server at address. It sends nothing yet.
func New(address parsec.ServerAddress, options client.Options) *Client {
	return &Client{client.New(address, options)}
}
