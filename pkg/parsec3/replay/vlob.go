package replay

import (
	"parsec-server/pkg/check"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// The rules of data.
var (
	DataAuthor = &check.Rule{
		Name: "v5_data_author", Invariant: "v5.12",
		Says: "A version of a vlob is by a known device, that is not younger, of a user that is not revoked at its date.",
	}
	DataRole = &check.Rule{
		Name: "v5_data_role", Invariant: "v5.24",
		Says: "A version of a vlob is by who has a role that writes at its date.",
	}
)

// CheckData objects to data of a date in a realm, whose topic is followed, by who may not
// have written it.
func (o *Organization) CheckData(realm *Realm, author parsec3.DeviceID, date parsec.DateTime) Step {
	step := Step{Date: date}
	device, found := o.Devices[author]
	if !found {
		step.object(DataAuthor, "data by %s, who is unknown", author)
		return step
	}
	step.User = device.User
	if device.CreatedOn > date || !o.Users[device.User].ActiveAt(date) {
		step.object(DataAuthor, "data at %s by %s, who is younger or revoked", date, author)
	}
	if role := realm.RoleAt(device.User, date); !role.Writes() {
		step.object(DataRole, "data at %s by %s, who is %q", date, author, role)
	}
	return step
}
