package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// EventsListenRequest has no field.
type EventsListenRequest struct{}

// EventsListenReply is never sent: each Event of a stream has the form of a reply.
type EventsListenReply struct{}

// Event is what a stream tells its client (docs/protocol/v5/events.md §2): the
// fields of an ok reply to events_listen, beside its name.
type Event interface {
	// EventName returns the value of "event".
	EventName() string
}

// OrganizationConfigEvent is the first event of every stream.
type OrganizationConfigEvent struct {
	UserProfileOutsiderAllowed bool `wire:"user_profile_outsider_allowed"`
	// ActiveUsersLimit is nil for no limit.
	ActiveUsersLimit *uint64 `wire:"active_users_limit,nullable"`
	// SSEKeepaliveSeconds is nil without keepalive.
	SSEKeepaliveSeconds *uint64 `wire:"sse_keepalive_seconds,nullable"`
	// MinimumArchivingPeriod is in seconds.
	MinimumArchivingPeriod uint64 `wire:"realm_minimum_archiving_period_before_deletion"`
}

// PingedEvent tells of a ping.
type PingedEvent struct {
	Ping string `wire:"ping"`
}

// CommonCertificateEvent tells of a certificate of the common topic.
type CommonCertificateEvent struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
}

// SequesterCertificateEvent tells of a certificate of the sequester topic.
type SequesterCertificateEvent struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
}

// ShamirRecoveryCertificateEvent tells of a certificate of the topic of Shamir
// recovery.
type ShamirRecoveryCertificateEvent struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
}

// RealmCertificateEvent tells of a certificate of a realm.
type RealmCertificateEvent struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
	RealmID   parsec.RealmID  `wire:"realm_id"`
}

// VlobEvent tells of a version of a vlob.
type VlobEvent struct {
	RealmID   parsec.RealmID   `wire:"realm_id"`
	VlobID    parsec.VlobID    `wire:"vlob_id"`
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	Version   uint32           `wire:"version"`
	// Blob is nil if it is long.
	Blob                           []byte          `wire:"blob,nullable"`
	LastCommonCertificateTimestamp parsec.DateTime `wire:"last_common_certificate_timestamp"`
	LastRealmCertificateTimestamp  parsec.DateTime `wire:"last_realm_certificate_timestamp"`
}

// InvitationEvent tells those who may greet its claimer of an invitation.
type InvitationEvent struct {
	Token            parsec3.AccessToken `wire:"token"`
	InvitationStatus InvitationStatus    `wire:"invitation_status"`
}

// GreetingAttemptCancelledEvent tells the greeter of an attempt.
type GreetingAttemptCancelledEvent struct{ GreetingAttemptEvent }

// GreetingAttemptReadyEvent tells the greeter that the claimer waits for it.
type GreetingAttemptReadyEvent struct{ GreetingAttemptEvent }

// GreetingAttemptJoinedEvent tells the greeter that one of its devices has met the
// claimer.
type GreetingAttemptJoinedEvent struct{ GreetingAttemptEvent }

// GreetingAttemptEvent has the fields of the events about an attempt.
type GreetingAttemptEvent struct {
	Token           parsec3.AccessToken       `wire:"token"`
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// EventName implements Event.
func (*OrganizationConfigEvent) EventName() string { return "ORGANIZATION_CONFIG" }

// EventName implements Event.
func (*PingedEvent) EventName() string { return "PINGED" }

// EventName implements Event.
func (*CommonCertificateEvent) EventName() string { return "COMMON_CERTIFICATE" }

// EventName implements Event.
func (*SequesterCertificateEvent) EventName() string { return "SEQUESTER_CERTIFICATE" }

// EventName implements Event.
func (*ShamirRecoveryCertificateEvent) EventName() string { return "SHAMIR_RECOVERY_CERTIFICATE" }

// EventName implements Event.
func (*RealmCertificateEvent) EventName() string { return "REALM_CERTIFICATE" }

// EventName implements Event.
func (*VlobEvent) EventName() string { return "VLOB" }

// EventName implements Event.
func (*InvitationEvent) EventName() string { return "INVITATION" }

// EventName implements Event.
func (*GreetingAttemptCancelledEvent) EventName() string { return "GREETING_ATTEMPT_CANCELLED" }

// EventName implements Event.
func (*GreetingAttemptReadyEvent) EventName() string { return "GREETING_ATTEMPT_READY" }

// EventName implements Event.
func (*GreetingAttemptJoinedEvent) EventName() string { return "GREETING_ATTEMPT_JOINED" }
