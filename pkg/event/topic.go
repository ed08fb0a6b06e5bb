package event

import "parsec-server/pkg/parsec"

type topicKind uint8

const (
	organizationTopic topicKind = iota + 1
	userTopic
	realmTopic
	invitationTopic
	userInviteTopic
	deviceInviteTopic
	administratorsTopic
)

// Topic is what a subscription listens to: one thing of one organization.
type Topic struct {
	organization parsec.OrganizationID
	kind         topicKind
	user         parsec.UserID
	device       parsec.DeviceID
	id           parsec.UUID
}

// OrganizationTopic has the events for everybody in the organization.
func OrganizationTopic(organization parsec.OrganizationID) Topic {
	return Topic{organization: organization, kind: organizationTopic}
}

// UserTopic has the events for one user.
func UserTopic(organization parsec.OrganizationID, user parsec.UserID) Topic {
	return Topic{organization: organization, kind: userTopic, user: user}
}

// RealmTopic has the events for the members of one realm.
func RealmTopic(organization parsec.OrganizationID, realm parsec.RealmID) Topic {
	return Topic{organization: organization, kind: realmTopic, id: parsec.UUID(realm)}
}

// InvitationTopic has the events of one invitation.
func InvitationTopic(organization parsec.OrganizationID, token parsec.InvitationToken) Topic {
	return Topic{organization: organization, kind: invitationTopic, id: parsec.UUID(token)}
}

// UserInviteTopic has the events of the API 1 invitation of one user.
func UserInviteTopic(organization parsec.OrganizationID, user parsec.UserID) Topic {
	return Topic{organization: organization, kind: userInviteTopic, user: user}
}

// DeviceInviteTopic has the events of the API 1 invitation of one device.
func DeviceInviteTopic(organization parsec.OrganizationID, device parsec.DeviceID) Topic {
	return Topic{organization: organization, kind: deviceInviteTopic, device: device}
}

// AdministratorsTopic has the events for the ADMINs of the organization.
func AdministratorsTopic(organization parsec.OrganizationID) Topic {
	return Topic{organization: organization, kind: administratorsTopic}
}

func (Lost) topics(parsec.OrganizationID) []Topic { return nil }

func (Pinged) topics(o parsec.OrganizationID) []Topic { return []Topic{OrganizationTopic(o)} }

func (b MessageReceived) topics(o parsec.OrganizationID) []Topic {
	return []Topic{UserTopic(o, b.Recipient)}
}

func (b RealmRolesUpdated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{UserTopic(o, b.User)}
}

func (b RealmVlobsUpdated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{RealmTopic(o, b.Realm)}
}

func (b RealmMaintenanceStarted) topics(o parsec.OrganizationID) []Topic {
	return []Topic{RealmTopic(o, b.Realm)}
}

func (b RealmMaintenanceFinished) topics(o parsec.OrganizationID) []Topic {
	return []Topic{RealmTopic(o, b.Realm)}
}

func (b RealmArchivingUpdated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{RealmTopic(o, b.Realm)}
}

func (b InviteStatusChanged) topics(o parsec.OrganizationID) []Topic {
	topics := make([]Topic, 0, 1+len(b.Greeters))
	topics = append(topics, InvitationTopic(o, b.Token))
	for _, greeter := range b.Greeters {
		topics = append(topics, UserTopic(o, greeter))
	}
	return topics
}

func (PKIEnrollmentUpdated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{AdministratorsTopic(o)}
}

func (b InviteConduitUpdated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{InvitationTopic(o, b.Token)}
}

func (b UserRevoked) topics(o parsec.OrganizationID) []Topic { return []Topic{UserTopic(o, b.User)} }

func (b UserFrozen) topics(o parsec.OrganizationID) []Topic { return []Topic{UserTopic(o, b.User)} }

func (OrganizationExpiration) topics(o parsec.OrganizationID) []Topic {
	return []Topic{OrganizationTopic(o)}
}

func (b UserCreated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{UserInviteTopic(o, b.User)}
}

func (b DeviceCreated) topics(o parsec.OrganizationID) []Topic {
	return []Topic{DeviceInviteTopic(o, b.Device)}
}

func (b UserClaimed) topics(o parsec.OrganizationID) []Topic {
	return []Topic{UserInviteTopic(o, b.User)}
}

func (b DeviceClaimed) topics(o parsec.OrganizationID) []Topic {
	return []Topic{DeviceInviteTopic(o, b.Device)}
}

func (b UserInvitationCancelled) topics(o parsec.OrganizationID) []Topic {
	return []Topic{UserInviteTopic(o, b.User)}
}

func (b DeviceInvitationCancelled) topics(o parsec.OrganizationID) []Topic {
	return []Topic{DeviceInviteTopic(o, b.Device)}
}
