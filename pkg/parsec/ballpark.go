package parsec

// The ballpark of client dates, in seconds (docs/protocol/certificates.md §5,
// docs/protocol/v5/commands.md §5).
const (
	BallparkEarlyOffset = 300.0
	BallparkLateOffset  = 320.0
)

// InBallpark reports whether a client's date is close enough to the server's,
// strictly on both sides.
func InBallpark(now, date DateTime) bool {
	const second = 1_000_000
	elapsed := int64(now) - int64(date)
	return -BallparkEarlyOffset*second < elapsed && elapsed < BallparkLateOffset*second
}
