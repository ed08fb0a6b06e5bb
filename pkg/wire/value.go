package wire

// Extension is a value of an extension type that the profile does not know.
// Data aliases the decoded message.
type Extension struct {
	Code int8
	Data []byte
}
