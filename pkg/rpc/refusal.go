package rpc

import "fmt"

// Status is the outcome of a command on the wire. Each wing lists its own.
type Status string

// StatusOK is the status of a command that did what was asked.
const StatusOK Status = "ok"

// Refusal is the error of a command that its rules refuse: a status, a text
// for people, and the fields that clients expect with that status.
type Refusal struct {
	Status Status
	// Reason is empty for a generation whose replies have none: it is not written
	// then.
	Reason string
	// Details is nil or a struct; its fields are flat in the reply.
	Details any
}

func (r *Refusal) Error() string {
	if r.Reason == "" {
		return string(r.Status)
	}
	return fmt.Sprintf("%s: %s", r.Status, r.Reason)
}

// Is matches any refusal of the same status.
func (r *Refusal) Is(target error) bool {
	other, ok := target.(*Refusal)
	return ok && other.Status == r.Status
}

// Refuse returns a refusal without details.
func Refuse(status Status, reason string) *Refusal {
	return &Refusal{Status: status, Reason: reason}
}
