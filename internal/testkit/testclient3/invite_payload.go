package testclient3

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// What a greeter and a claimer tell each other, encrypted
// (docs/protocol/v5/invite.md §6). No server reads it.
const (
	inviteUserDataType           = "invite_user_data"
	inviteUserConfirmationType   = "invite_user_confirmation"
	inviteDeviceDataType         = "invite_device_data"
	inviteDeviceConfirmationType = "invite_device_confirmation"
	inviteShamirDataType         = "invite_shamir_recovery_data"
	inviteShamirConfirmationType = "invite_shamir_recovery_confirmation"
)

// inviteUserData is what a new user asks for.
type inviteUserData struct {
	RequestedDeviceLabel parsec3.DeviceLabel `wire:"requested_device_label"`
	RequestedHumanHandle parsec.HumanHandle  `wire:"requested_human_handle"`
	PublicKey            parsec.PublicKey    `wire:"public_key"`
	VerifyKey            parsec.VerifyKey    `wire:"verify_key"`
}

// inviteUserConfirmation is what a new user becomes.
type inviteUserConfirmation struct {
	UserID        parsec3.UserID      `wire:"user_id"`
	DeviceID      parsec3.DeviceID    `wire:"device_id"`
	DeviceLabel   parsec3.DeviceLabel `wire:"device_label"`
	HumanHandle   parsec.HumanHandle  `wire:"human_handle"`
	Profile       parsec.UserProfile  `wire:"profile"`
	RootVerifyKey parsec.VerifyKey    `wire:"root_verify_key"`
}

// inviteDeviceData is what a new device asks for.
type inviteDeviceData struct {
	RequestedDeviceLabel parsec3.DeviceLabel `wire:"requested_device_label"`
	VerifyKey            parsec.VerifyKey    `wire:"verify_key"`
}

// inviteDeviceConfirmation is what a new device gets of its user. Profile is that of the
// creation.
type inviteDeviceConfirmation struct {
	UserID        parsec3.UserID      `wire:"user_id"`
	DeviceID      parsec3.DeviceID    `wire:"device_id"`
	DeviceLabel   parsec3.DeviceLabel `wire:"device_label"`
	HumanHandle   parsec.HumanHandle  `wire:"human_handle"`
	Profile       parsec.UserProfile  `wire:"profile"`
	PrivateKey    [32]byte            `wire:"private_key"`
	UserRealmID   parsec.RealmID      `wire:"user_realm_id"`
	UserRealmKey  [32]byte            `wire:"user_realm_key"`
	RootVerifyKey parsec.VerifyKey    `wire:"root_verify_key"`
}

// inviteShamirData has no field.
type inviteShamirData struct{}

// inviteShamirConfirmation has the shares of a recipient.
type inviteShamirConfirmation struct {
	WeightedShare [][]byte `wire:"weighted_share"`
}
