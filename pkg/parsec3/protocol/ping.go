package protocol

// PingRequest is answered by its own text.
type PingRequest struct {
	Ping string `wire:"ping"`
}

// PingReply has the text of the request.
type PingReply struct {
	Pong string `wire:"pong"`
}
