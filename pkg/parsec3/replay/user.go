package replay

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// User is what the certificates say of one.
type User struct {
	ID          parsec3.UserID
	HumanHandle parsec.HumanHandle
	PublicKey   parsec.PublicKey
	CreatedOn   parsec.DateTime
	// RevokedOn is nil for an active user.
	RevokedOn *parsec.DateTime
	// Profiles are those of the user, from its creation on.
	Profiles []Since[parsec.UserProfile]
}

// Device is what the certificates say of one.
type Device struct {
	User      parsec3.UserID
	Key       parsec.VerifyKey
	CreatedOn parsec.DateTime
}

// ActiveAt reports whether the user exists at a date, and is not revoked.
func (u *User) ActiveAt(date parsec.DateTime) bool {
	return u.CreatedOn <= date && (u.RevokedOn == nil || date < *u.RevokedOn)
}

// Profile returns the present one.
func (u *User) Profile() parsec.UserProfile { return u.Profiles[len(u.Profiles)-1].Value }

// ProfileAt returns the one at a date.
func (u *User) ProfileAt(date parsec.DateTime) parsec.UserProfile { return at(u.Profiles, date) }

// FollowCommon follows the next certificate of the common topic, and its redacted form,
// which a reader is not given.
func (o *Organization) FollowCommon(signed, redacted []byte) Step {
	claim, step, readable := begin("a common certificate", signed)
	if !readable {
		return step
	}
	first := o.first
	o.first = nil
	if first != nil && claim.Type != deviceType {
		step.object(FirstDevice, "%s in place of the first device of %s", claim.Type, first.UserID)
		first = nil
	}
	if claim.Timestamp <= o.Common && (first == nil || claim.Timestamp < o.Common) {
		step.object(Dates, "%s at %s after one at %s", claim.Type, claim.Timestamp, o.Common)
	}
	rootMay := len(o.Users) == 0 || first != nil && first.Author == (parsec3.DeviceID{})
	by := o.signerOf(&step, &claim, rootMay)
	switch claim.Type {
	case "user_certificate":
		o.followUser(&step, signed, redacted, by)
	case deviceType:
		o.followDevice(&step, signed, redacted, by, first)
	case "user_update_certificate":
		o.followUpdate(&step, signed, by)
	case "revoked_user_certificate":
		o.followRevocation(&step, signed, by)
	default:
		step.object(Topic, "%s in the common topic", claim.Type)
	}
	o.Common = max(o.Common, claim.Timestamp)
	return step
}

const deviceType = "device_certificate"

// EndCommon ends the list of the common topic, as far as it is known.
func (o *Organization) EndCommon() (step Step) {
	if o.first != nil {
		step.object(FirstDevice, "user %s without first device", o.first.UserID)
		o.first = nil
	}
	return step
}

// checkAdmin wants a device of another user, that is ADMIN at the date, or the root key.
func checkAdmin(step *Step, by signer, subject parsec3.UserID) {
	if by.user == nil {
		return
	}
	if profile := by.user.ProfileAt(step.Date); profile != parsec.ProfileAdmin {
		step.object(AuthorProfile, "%s is %s at %s", by.user.ID, profile, step.Date)
	}
	if by.user.ID == subject {
		step.object(NotOneself, "%s about itself at %s", by.user.ID, step.Date)
	}
}

func (o *Organization) followUser(step *Step, signed, redacted []byte, by signer) {
	user, readable := read(step, "a user", signed, by, certificate.LoadUser, certificate.Read[certificate.User])
	if !readable {
		return
	}
	checkAdmin(step, by, user.UserID)
	if by.known && by.user == nil && user.Profile != parsec.ProfileAdmin {
		step.object(Foundation, "the first user is %s", user.Profile)
	}
	if o.Users[user.UserID] != nil {
		step.object(IDs, "user %s twice", user.UserID)
		return
	}
	if o.reader == nil {
		form, err := certificate.LoadUser(redacted, by.key, by.device)
		if by.known && (err != nil || form != user.Redacted()) {
			step.object(Redacted, "user %s has no redacted certificate of its own", user.UserID)
		}
	}
	if len(o.Users) == 0 {
		o.Founded = user.Timestamp
	}
	o.Users[user.UserID] = &User{
		ID: user.UserID, HumanHandle: user.HumanHandle, PublicKey: user.PublicKey, CreatedOn: user.Timestamp,
		Profiles: []Since[parsec.UserProfile]{{user.Timestamp, user.Profile}},
	}
	o.first = &user
}

// followDevice follows the first device of a user, or a later one.
func (o *Organization) followDevice(step *Step, signed, redacted []byte, by signer, first *certificate.User) {
	what := "a device"
	if first != nil {
		what = "the first device of user " + first.UserID.String()
	}
	device, readable := read(step, what, signed, by, certificate.LoadDevice, certificate.Read[certificate.Device])
	if !readable {
		return
	}
	switch {
	case first != nil:
		if device.Timestamp != first.Timestamp || device.UserID != first.UserID || device.Author != first.Author {
			step.object(FirstDevice, "user %s with the first device %s of %s", first.UserID, device.DeviceID, device.UserID)
		}
	case by.user != nil && by.user.ID != device.UserID:
		step.object(Author, "device %s of %s by %s", device.DeviceID, device.UserID, by.device)
	case o.Users[device.UserID] == nil:
		step.object(UserState, "device %s of %s, who is unknown", device.DeviceID, device.UserID)
		return
	}
	if _, found := o.Devices[device.DeviceID]; found {
		step.object(IDs, "device %s twice, for user %s", device.DeviceID, device.UserID)
		return
	}
	if o.reader == nil {
		form, err := certificate.LoadDevice(redacted, by.key, by.device)
		if by.known && (err != nil || !device.IsFullFormOf(form)) {
			step.object(Redacted, "device %s has no redacted certificate of its own", device.DeviceID)
		}
	}
	if o.Users[device.UserID] != nil {
		o.Devices[device.DeviceID] = Device{device.UserID, device.VerifyKey, device.Timestamp}
	}
}

func (o *Organization) followUpdate(step *Step, signed []byte, by signer) {
	update, readable := read(step, "an update", signed, by, certificate.LoadUserUpdate, certificate.Read[certificate.UserUpdate])
	if !readable {
		return
	}
	checkAdmin(step, by, update.UserID)
	user := o.Users[update.UserID]
	if user == nil || !user.ActiveAt(update.Timestamp) || user.Profile() == update.NewProfile {
		step.object(UserState, "update of %s to %s at %s", update.UserID, update.NewProfile, update.Timestamp)
	}
	if user != nil {
		user.Profiles = append(user.Profiles, Since[parsec.UserProfile]{update.Timestamp, update.NewProfile})
	}
}

func (o *Organization) followRevocation(step *Step, signed []byte, by signer) {
	revoked, readable := read(step, "a revocation", signed, by, certificate.LoadRevokedUser, certificate.Read[certificate.RevokedUser])
	if !readable {
		return
	}
	checkAdmin(step, by, revoked.UserID)
	user := o.Users[revoked.UserID]
	if user == nil || !user.ActiveAt(revoked.Timestamp) {
		step.object(UserState, "revocation of %s at %s", revoked.UserID, revoked.Timestamp)
	}
	if user != nil && user.RevokedOn == nil {
		user.RevokedOn = &revoked.Timestamp
	}
}
