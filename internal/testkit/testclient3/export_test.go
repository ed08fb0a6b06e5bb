package testclient3

import (
	"context"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
)

// PauseBy has a resident wait by another function.
func (r *Resident) PauseBy(pause func(context.Context, time.Duration) error) { r.pause = pause }

// SealVersion returns a version of a vlob of a realm without rotation.
func SealVersion(d *client3.Device, vlob parsec.VlobID, version uint32, content []byte, now parsec.DateTime) ([]byte, error) {
	return (&Resident{Device: d}).seal(UserKeys(d), vlob, version, content, now)
}
