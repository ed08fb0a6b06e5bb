package rules

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
)

const (
	// doubtPeriod is how long after a failed upload its client may look for what was
	// to be there.
	doubtPeriod = time.Minute
	// maxFailedUploads bounds the failures that are kept. The oldest one that does not
	// fit is taken for one of any device.
	maxFailedUploads = 1 << 14
)

// failedUpload is that of a new entry.
type failedUpload struct {
	by deviceKey
	on parsec.DateTime
}

func (f failedUpload) isOver(now parsec.DateTime) bool { return f.on.Add(doubtPeriod) <= now }

// failedUploads has the devices whose upload of a new entry failed a moment ago, on
// any instance (docs/protocol/v5/quirks.md §11 (d)).
type failedUploads struct {
	now func() parsec.DateTime
	// running counts the requests that may yet fail.
	running atomic.Int64

	mu sync.Mutex
	// last is the last failure of each device, and order all of them, as they came.
	last  map[deviceKey]parsec.DateTime
	order []failedUpload
	// anybody is when an upload of any device may have failed last: an instance
	// vanished, or there was no room for the failure here.
	anybody parsec.DateTime
	// untold are the failures that the other instances have not been told of.
	untold []failedUpload
}

func newFailedUploads(now func() parsec.DateTime) *failedUploads {
	return &failedUploads{now: now, last: map[deviceKey]parsec.DateTime{}}
}

// record takes note of what an instance tells.
func (u *failedUploads) record(e event.Event) {
	switch body := e.Body.(type) {
	case notice.UploadFailed:
		u.add(failedUpload{deviceKey{e.Organization, body.Device}, body.On})
	case event.InstanceVanished:
		u.mu.Lock()
		defer u.mu.Unlock()
		u.anybody = max(u.anybody, min(body.On, u.now()))
	}
}

func (u *failedUploads) add(failed failedUpload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	failed.on = min(failed.on, now) // the clock of another instance may be ahead
	for len(u.order) > 0 && (len(u.order) == maxFailedUploads || u.order[0].isOver(now)) {
		oldest := u.order[0]
		u.order = u.order[1:]
		if !oldest.isOver(now) {
			u.anybody = max(u.anybody, oldest.on)
		}
		if u.last[oldest.by] == oldest.on {
			delete(u.last, oldest.by)
		}
	}
	if failed.isOver(now) || u.last[failed.by] >= failed.on {
		return
	}
	u.last[failed.by] = failed.on
	u.order = append(u.order, failed)
}

// mayBeOf reports whether a device may be looking for what it could not upload.
func (u *failedUploads) mayBeOf(organization parsec.OrganizationID, device parsec3.DeviceID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if u.anybody != 0 && now < u.anybody.Add(doubtPeriod) {
		return true
	}
	on, failed := u.last[deviceKey{organization, device}]
	return failed && now < on.Add(doubtPeriod)
}

// BeginUpload returns what the caller calls once a request, which may be an upload, has
// ended, and UploadFailed was called if it was one that failed.
func (r *Rules) BeginUpload() (end func()) {
	r.uploads.running.Add(1)
	return func() { r.uploads.running.Add(-1) }
}

// UploadFailed remembers that the upload of a new entry by a device was answered that
// the server has failed, or lost its connection. Whose device it is need not be known.
func (r *Rules) UploadFailed(organization parsec.OrganizationID, device parsec3.DeviceID) {
	failed := failedUpload{deviceKey{organization, device}, r.now()}
	r.uploads.add(failed)
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	if len(r.uploads.untold) < maxFailedUploads {
		r.uploads.untold = append(r.uploads.untold, failed)
	}
}

// TellFailedUploads tells the other instances of the failures that they do not know
// yet. While the state is out of reach these wait, until they are of no use. One
// goroutine at a time calls it.
func (r *Rules) TellFailedUploads(ctx context.Context) {
	for {
		failed, some := r.uploads.nextUntold()
		if !some {
			return
		}
		err := r.store.Publish(ctx, event.Event{
			Organization: failed.by.organization, Body: notice.UploadFailed{Device: failed.by.device, On: failed.on},
		})
		if err != nil {
			return
		}
		r.uploads.mu.Lock()
		r.uploads.untold = r.uploads.untold[1:]
		r.uploads.mu.Unlock()
	}
}

// nextUntold returns the oldest failure to tell of, which stays.
func (u *failedUploads) nextUntold() (_ failedUpload, some bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	for len(u.untold) > 0 {
		if !u.untold[0].isOver(now) {
			return u.untold[0], true
		}
		u.untold = u.untold[1:]
	}
	u.untold = nil
	return failedUpload{}, false
}

// HasFailedUploads reports, at the end of the process, whether an upload failed a moment
// ago, or does now: who begins then must take this instance for one that vanished.
func (r *Rules) HasFailedUploads() bool {
	if r.uploads.running.Load() > 0 {
		return true
	}
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	now := r.now()
	for _, failed := range r.uploads.order {
		if !failed.isOver(now) {
			return true
		}
	}
	return false
}
