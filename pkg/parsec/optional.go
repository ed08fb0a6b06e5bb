package parsec

// Same reports whether two values are the same that may be missing, which is nil.
func Same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
