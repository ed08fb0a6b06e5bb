package notice_test

import (
	"fmt"
	"slices"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
)

var (
	acme  = must(parsec.ParseOrganizationID("Acme"))
	other = must(parsec.ParseOrganizationID("Other"))
	alice = must(parsec.ParseUserID("alice"))
	bob   = must(parsec.ParseUserID("bob"))
	realm = parsec.RealmID{1}
	token = parsec.InvitationToken{2}
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func deviceID(text string) parsec.DeviceID { return must(parsec.ParseDeviceID(text)) }

// TestTopics has, for each body, the topics that get it among one of each
// kind.
func TestTopics(t *testing.T) {
	topics := map[string]event.Topic{
		"organization":  event.OrganizationTopic(acme),
		"alice":         notice.UserTopic(acme, alice),
		"bob":           notice.UserTopic(acme, bob),
		"realm":         notice.RealmTopic(acme, realm),
		"invitation":    notice.InvitationTopic(acme, token),
		"user invite":   notice.UserInviteTopic(acme, alice),
		"device invite": notice.DeviceInviteTopic(acme, deviceID("alice@dev1")),
		"elsewhere 1":   event.OrganizationTopic(other),
		"elsewhere 2":   notice.UserTopic(other, alice),
		"elsewhere 3":   notice.RealmTopic(other, realm),
		"elsewhere 4":   notice.InvitationTopic(other, token),
		"elsewhere 5":   notice.UserInviteTopic(other, alice),
		"elsewhere 6":   notice.DeviceInviteTopic(other, deviceID("alice@dev1")),
		"other realm":   notice.RealmTopic(acme, parsec.RealmID(token)),
		"other token":   notice.InvitationTopic(acme, parsec.InvitationToken(realm)),
		"other device":  notice.DeviceInviteTopic(acme, deviceID("alice@dev2")),
	}
	for _, item := range []struct {
		body     event.Body
		excluded bool
		topics   []string
	}{
		{notice.Pinged{}, true, []string{"organization"}},
		{notice.MessageReceived{Recipient: alice}, false, []string{"alice"}},
		{notice.RealmRolesUpdated{Realm: realm, User: alice}, false, []string{"alice"}},
		{notice.RealmVlobsUpdated{Realm: realm}, true, []string{"realm"}},
		{notice.RealmMaintenanceStarted{Realm: realm}, true, []string{"realm"}},
		{notice.RealmMaintenanceFinished{Realm: realm}, true, []string{"realm"}},
		{notice.RealmArchivingUpdated{Realm: realm}, true, []string{"realm"}},
		{notice.InviteStatusChanged{Greeters: []parsec.UserID{alice, bob, alice}, Token: token}, false, []string{"alice", "bob", "invitation"}},
		{notice.UserRevoked{User: alice}, false, []string{"alice"}},
		{notice.UserFrozen{User: alice}, false, []string{"alice"}},
		{event.OrganizationExpiration{}, false, []string{"organization"}},
		{notice.UserCreated{User: alice}, false, []string{"user invite"}},
		{notice.UserClaimed{User: alice}, false, []string{"user invite"}},
		{notice.UserInvitationCancelled{User: alice}, false, []string{"user invite"}},
		{notice.DeviceCreated{Device: deviceID("alice@dev1")}, false, []string{"device invite"}},
		{notice.DeviceClaimed{Device: deviceID("alice@dev1")}, false, []string{"device invite"}},
		{notice.DeviceInvitationCancelled{Device: deviceID("alice@dev1")}, false, []string{"device invite"}},
	} {
		t.Run(fmt.Sprintf("%T", item.body), func(t *testing.T) {
			bus := event.NewBus()
			var got []string // on the goroutine of the bus, until it ends
			for name, topic := range topics {
				bus.Subscribe(func(event.Event) { got = append(got, name) }, topic)
			}
			bus.Publish([]event.Event{{Organization: acme, Body: item.body}})
			bus.Close()
			slices.Sort(got)
			if !slices.Equal(got, item.topics) {
				t.Errorf("received by %v, want %v", got, item.topics)
			}
			told, forClients := item.body.(notice.ForClients)
			if excluded := forClients && !told.Kind().ForAuthor; excluded != item.excluded {
				t.Errorf("excludes its author: %t", excluded)
			}
		})
	}
}
