package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// The setup of one-time passwords has two forms (docs/protocol/v5/enrollment.md §4): of
// a device, and, after a reset, of who has its token.

// TOTPSetupGetSecretRequest has no field.
type TOTPSetupGetSecretRequest struct{}

// TOTPSetupGetSecretAnonymousRequest is by the token of a reset.
type TOTPSetupGetSecretAnonymousRequest struct {
	UserID parsec3.UserID      `wire:"user_id"`
	Token  parsec3.AccessToken `wire:"token"`
}

// TOTPSetupGetSecretReply has what one-time passwords are made of.
type TOTPSetupGetSecretReply struct {
	TOTPSecret []byte `wire:"totp_secret"`
}

// TOTPSetupConfirmRequest completes the setup.
type TOTPSetupConfirmRequest struct {
	OneTimePassword string `wire:"one_time_password"`
}

// TOTPSetupConfirmAnonymousRequest completes the setup by the token of a reset.
type TOTPSetupConfirmAnonymousRequest struct {
	UserID          parsec3.UserID      `wire:"user_id"`
	Token           parsec3.AccessToken `wire:"token"`
	OneTimePassword string              `wire:"one_time_password"`
}

// TOTPSetupConfirmReply has no field.
type TOTPSetupConfirmReply struct{}

// TOTPCreateOpaqueKeyRequest has no field.
type TOTPCreateOpaqueKeyRequest struct{}

// TOTPCreateOpaqueKeyReply is a key that the server keeps.
type TOTPCreateOpaqueKeyReply struct {
	OpaqueKeyID parsec3.OpaqueKeyID `wire:"opaque_key_id"`
	OpaqueKey   parsec3.OpaqueKey   `wire:"opaque_key"`
}

// TOTPFetchOpaqueKeyRequest asks for a key that the server keeps.
type TOTPFetchOpaqueKeyRequest struct {
	UserID          parsec3.UserID      `wire:"user_id"`
	OpaqueKeyID     parsec3.OpaqueKeyID `wire:"opaque_key_id"`
	OneTimePassword string              `wire:"one_time_password"`
}

// TOTPFetchOpaqueKeyReply is the key.
type TOTPFetchOpaqueKeyReply struct {
	OpaqueKey parsec3.OpaqueKey `wire:"opaque_key"`
}

// ThrottledDetails is the field of throttled.
type ThrottledDetails struct {
	WaitUntil parsec.DateTime `wire:"wait_until"`
}

// RefuseThrottled returns the refusal of what may be tried again after a date.
func RefuseThrottled(until parsec.DateTime) *Refusal {
	return &Refusal{Status: StatusThrottled, Details: &ThrottledDetails{until}}
}
