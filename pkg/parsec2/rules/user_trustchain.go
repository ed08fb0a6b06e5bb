package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// certificate is the form for readers who may know the human, or not
// (docs/protocol/certificates.md §7).
func (u *User) certificate(redacted bool) []byte {
	if redacted {
		return u.RedactedCertificate
	}
	return u.Certificate
}

// certificate is the form for readers who may know the label, or not.
func (d *Device) certificate(redacted bool) []byte {
	if redacted {
		return d.RedactedCertificate
	}
	return d.Certificate
}

func trustchain(devices []Device, users []User, redacted bool) protocol.Trustchain {
	chain := protocol.Trustchain{
		Devices:      make([][]byte, 0, len(devices)),
		Users:        make([][]byte, 0, len(users)),
		RevokedUsers: [][]byte{},
	}
	for i := range devices {
		chain.Devices = append(chain.Devices, devices[i].certificate(redacted))
	}
	for i := range users {
		chain.Users = append(chain.Users, users[i].certificate(redacted))
		if revocation := users[i].Revocation; revocation != nil {
			chain.RevokedUsers = append(chain.RevokedUsers, revocation.Certificate)
		}
	}
	return chain
}

// trustchainOf is the part of the trustchain that verifies the user and one of
// its devices.
func (f *UserFacts) trustchainOf(device *Device) protocol.Trustchain {
	var devices []Device
	var users []User
	left := append(f.User.certifiers(), device.Certifier)
	for len(left) > 0 {
		id := left[0]
		left = left[1:]
		certifier := findDevice(f.ChainDevices, id)
		if certifier == nil || findDevice(devices, id) != nil {
			continue // the root key, or visited
		}
		devices = append(devices, *certifier)
		left = append(left, certifier.Certifier)
		if user := findUser(f.ChainUsers, id.User()); user != nil && findUser(users, user.ID) == nil {
			users = append(users, *user)
			left = append(left, user.certifiers()...)
		}
	}
	return trustchain(devices, users, false)
}

// certifiers are the devices that certified the user and its revocation; zero
// stands for the root key.
func (u *User) certifiers() []parsec.DeviceID {
	if u.Revocation == nil {
		return []parsec.DeviceID{u.Certifier}
	}
	return []parsec.DeviceID{u.Certifier, u.Revocation.Certifier}
}

// findUser returns nil if there is no such user.
func findUser(users []User, id parsec.UserID) *User {
	for i := range users {
		if users[i].ID == id {
			return &users[i]
		}
	}
	return nil
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
