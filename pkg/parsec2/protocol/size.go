package protocol

// binHead is the most that a bin takes beside its bytes.
const binHead = 5
