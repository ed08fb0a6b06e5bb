package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// certificate returns the form for readers who may know the human, or not
// (docs/protocol/certificates.md §7).
func (u *User) certificate(redacted bool) []byte {
	if redacted {
		return u.RedactedCertificate
	}
	return u.Certificate
}

// certificate returns the form for readers who may know the label, or not.
func (d *Device) certificate(redacted bool) []byte {
	if redacted {
		return d.RedactedCertificate
	}
	return d.Certificate
}

// Follow returns the devices that lead from certifiers to the root key, and
// their users, each once (docs/protocol/commands.md §4, trustchain). The root
// key is the zero device, which nobody knows.
func Follow(certifiers []parsec.DeviceID, device func(parsec.DeviceID) *Device, user func(parsec.UserID) *User) (devices []Device, users []User) {
	seen := map[parsec.DeviceID]bool{}
	seenUsers := map[parsec.UserID]bool{}
	for len(certifiers) > 0 {
		id := certifiers[0]
		certifiers = certifiers[1:]
		certifier := device(id)
		if certifier == nil || seen[id] {
			continue
		}
		seen[id] = true
		devices = append(devices, *certifier)
		certifiers = append(certifiers, certifier.Certifier)
		if owner := user(id.User()); owner != nil && !seenUsers[owner.ID] {
			seenUsers[owner.ID] = true
			users = append(users, *owner)
			certifiers = append(certifiers, owner.certifiers()...)
		}
	}
	return devices, users
}

// Certifiers returns those of a user, its revocation and its devices; zero
// stands for the root key.
func Certifiers(user *User, devices []Device) []parsec.DeviceID {
	certifiers := user.certifiers()
	for i := range devices {
		certifiers = append(certifiers, devices[i].Certifier)
	}
	return certifiers
}

func (u *User) certifiers() []parsec.DeviceID {
	if u.Revocation == nil {
		return []parsec.DeviceID{u.Certifier}
	}
	return []parsec.DeviceID{u.Certifier, u.Revocation.Certifier}
}

// trustchain returns what verifies the user and those of its devices.
func (f *UserFacts) trustchain(devices []Device, redacted bool) protocol.Trustchain {
	known, knownUsers := map[parsec.DeviceID]*Device{}, map[parsec.UserID]*User{}
	for i := range f.ChainDevices {
		known[f.ChainDevices[i].ID] = &f.ChainDevices[i]
	}
	for i := range f.ChainUsers {
		knownUsers[f.ChainUsers[i].ID] = &f.ChainUsers[i]
	}
	certifiers, users := Follow(Certifiers(&f.User, devices),
		func(id parsec.DeviceID) *Device { return known[id] },
		func(id parsec.UserID) *User { return knownUsers[id] })
	chain := protocol.Trustchain{
		Devices:      make([][]byte, 0, len(certifiers)),
		Users:        make([][]byte, 0, len(users)),
		RevokedUsers: [][]byte{},
	}
	for i := range certifiers {
		chain.Devices = append(chain.Devices, certifiers[i].certificate(redacted))
	}
	for i := range users {
		chain.Users = append(chain.Users, users[i].certificate(redacted))
		if revocation := users[i].Revocation; revocation != nil {
			chain.RevokedUsers = append(chain.RevokedUsers, revocation.Certificate)
		}
	}
	return chain
}

// findDevice returns nil if there is no such device.
func findDevice(devices []Device, id parsec.DeviceID) *Device {
	for i := range devices {
		if devices[i].ID == id {
			return &devices[i]
		}
	}
	return nil
}
