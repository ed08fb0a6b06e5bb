// Package outage has the errors of a state that is out of reach for a while, and how
// long a request is held until it is back. Stores fail with them, and the server,
// which knows no store, answers so.
package outage

import "errors"

// ErrUnavailable is, by errors.Is, what a store fails with when it cannot do now
// what it may do later: its database is out of reach, or was lost on the way,
// takes no writes, has no room left, or is busy for too long. Whether a change is
// made is not known when the database was lost while it was committed.
var ErrUnavailable = errors.New("the state is out of reach for now")

// ErrNoRoom is what a store is not ready with while what is written does not fit
// on the disk of the database, and all can be read.
var ErrNoRoom = errors.New("the disk of the database is full")
