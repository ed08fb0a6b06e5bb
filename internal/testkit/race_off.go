//go:build !race

package testkit

// raceDetector tells whether the tests run with the race detector.
const raceDetector = false
