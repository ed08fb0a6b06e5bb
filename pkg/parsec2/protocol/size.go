package protocol

// Sized is a reply that may be long.
type Sized interface {
	// Size is at least the length of its fields in a message, in bytes, but for
	// some 200.
	Size() int
}

// binHead is the most that a bin takes beside its bytes.
const binHead = 5
