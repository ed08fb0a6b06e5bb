package protocol

// PingRequest exists on every kind of connection.
type PingRequest struct {
	Ping string `wire:"ping"`
}

// PingReply echoes the request.
type PingReply struct {
	Pong string `wire:"pong"`
}
