package rules

import (
	"log/slog"
	"strconv"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
)

// BenchmarkForeignStreams measures the time from an event to its stream, beside
// streams that it does not concern: of other realms, and of other organizations.
func BenchmarkForeignStreams(b *testing.B) {
	for _, foreign := range []int{0, 100, 10_000} {
		b.Run(strconv.Itoa(foreign), func(b *testing.B) {
			bus := event.NewBus()
			b.Cleanup(bus.Close)
			store := &registrations{}
			now := func() parsec.DateTime { return 1 }
			r := New(store, nil, bus, nil, now, slog.New(slog.DiscardHandler), Options{})
			open := func(name string, device byte, realm parsec.RealmID) (*Session, Author) {
				id, err := parsec.ParseOrganizationID(name)
				if err != nil {
					b.Fatal(err)
				}
				author := Author{Organization: id, Device: parsec3.DeviceID{device}, User: parsec3.UserID{device}}
				store.realms, store.standing = []parsec.RealmID{realm}, Standing{
					Organization: &organization.Organization{ID: id, RootVerifyKey: &parsec.VerifyKey{}, Generation: organization.Parsec3},
					User:         &User{ID: author.User}, Device: &Device{ID: author.Device, User: author.User},
				}
				session, err := r.OpenSession(b.Context(), &author, "", nil)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(session.Close)
				return session, author
			}
			for i := range foreign {
				realm := parsec.RealmID(parsec.NewUUID())
				open([]string{"Acme", "Bank"}[i%2], 1, realm)
			}
			session, author := open("Acme", 2, parsec.RealmID{1})
			told := make(chan struct{}, 1)
			session.Listen(func() { told <- struct{}{} }, func() {})
			<-told
			for b.Loop() {
				for message, err := session.Next(); message != nil; message, err = session.Next() {
					if err != nil {
						b.Fatal(err)
					}
				}
				body := notice.Vlob{ID: notice.NewID(), Realm: parsec.RealmID{1}}
				bus.Publish([]event.Event{{Organization: author.Organization, Body: body}})
				<-told
			}
		})
	}
}
