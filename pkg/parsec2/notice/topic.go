package notice

import (
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

// UserTopic has the events for one user.
func UserTopic(organization parsec.OrganizationID, user parsec.UserID) event.Topic {
	return event.Topic{Organization: organization, Kind: "user", Name: user.String()}
}

// RealmTopic has the events for the members of one realm.
func RealmTopic(organization parsec.OrganizationID, realm parsec.RealmID) event.Topic {
	return event.Topic{Organization: organization, Kind: "realm", ID: parsec.UUID(realm)}
}

// InvitationTopic has the events of one invitation.
func InvitationTopic(organization parsec.OrganizationID, token parsec.InvitationToken) event.Topic {
	return event.Topic{Organization: organization, Kind: "invitation", ID: parsec.UUID(token)}
}

// UserInviteTopic has the events of the API 1 invitation of one user.
func UserInviteTopic(organization parsec.OrganizationID, user parsec.UserID) event.Topic {
	return event.Topic{Organization: organization, Kind: "user invite", Name: user.String()}
}

// DeviceInviteTopic has the events of the API 1 invitation of one device.
func DeviceInviteTopic(organization parsec.OrganizationID, device parsec.DeviceID) event.Topic {
	return event.Topic{Organization: organization, Kind: "device invite", Name: device.String()}
}

// AdministratorsTopic has the events for the ADMINs of the organization.
func AdministratorsTopic(organization parsec.OrganizationID) event.Topic {
	return event.Topic{Organization: organization, Kind: "administrators"}
}
