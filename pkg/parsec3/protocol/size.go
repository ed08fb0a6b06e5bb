package protocol

const (
	// binHead is the most that a bin, or an array, takes beside its content.
	binHead = 5
	// uuidBytes is what a UUID takes in a message.
	uuidBytes = 18
)

// binsSize is at least what bins take as the items of an array, in bytes.
func binsSize(bins [][]byte) int {
	size := 0
	for _, bin := range bins {
		size += len(bin) + binHead
	}
	return size
}
