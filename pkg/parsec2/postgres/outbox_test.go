package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// TestKinds has every type of body in the outbox, under one name, but Lost,
// which is of one process.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("../../event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range tree.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv == nil || function.Name.Name != "topics" {
				continue
			}
			if body := function.Recv.List[0].Type.(*ast.Ident).Name; body != "Lost" {
				want = append(want, body)
			}
		}
	}
	var got []string
	for _, kind := range kinds {
		got = append(got, kind.body.Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("bodies %v, the package event has %v", got, want)
	}
	if len(kindsByName) != len(kinds) || len(kindsByBody) != len(kinds) {
		t.Error("a name or a type is there twice")
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var bodies = []event.Body{
	event.Pinged{Ping: "é"},
	event.RealmArchivingUpdated{Realm: parsec.RealmID{1}, Configuration: protocol.ArchivingConfiguration{
		Type: parsec.ArchivingDeletionPlanned, DeletionDate: new(parsec.DateTime(7)),
	}},
	event.InviteStatusChanged{
		Greeters: []parsec.UserID{must(parsec.ParseUserID("alice"))}, Token: parsec.InvitationToken{2}, Status: parsec.InvitationReady,
	},
	event.OrganizationExpiration{},
	// More than a bin of the protocol may have, in all.
	event.UserCreated{User: must(parsec.ParseUserID("bob")), UserCertificate: make([]byte, 1<<20), DeviceCertificate: make([]byte, 1<<20)},
}

func TestOutboxRows(t *testing.T) {
	var events []event.Event
	for i, body := range bodies {
		e := event.Event{Organization: must(parsec.ParseOrganizationID("Acme")), Body: body}
		if i%2 == 0 {
			e.Author = must(parsec.ParseDeviceID("alice@one"))
		}
		events = append(events, e)
	}
	statements, err := outboxInsert(events)
	if err != nil || len(statements) != 1 {
		t.Fatalf("%v, %v", statements, err)
	}
	args := statements[0].args
	row := outboxRow{1, args[0].([]string), args[1].([]string), args[2].([]string), args[3].([][]byte)}
	got, problems := row.events()
	if !reflect.DeepEqual(got, events) || problems != nil {
		t.Errorf("got %+v\n%v", got, problems)
	}
	if none, err := outboxInsert(nil); none != nil || err != nil {
		t.Errorf("for no event: %v, %v", none, err)
	}
	if _, err := outboxInsert([]event.Event{{Body: event.Lost{}}}); err == nil {
		t.Error("a body without kind is written")
	}
}

// TestOtherVersions reads what a later server may write.
func TestOtherVersions(t *testing.T) {
	fine := must(wire.Marshal(event.Pinged{Ping: "fine"}))
	row := outboxRow{
		organizations: []string{"Acme", "not valid!", "Acme", "Acme", "Acme"},
		authors:       []string{"", "", "nobody", "", ""},
		kinds:         []string{"pinged", "pinged", "pinged", "pki.future", "pinged"},
		bodies:        [][]byte{{0xc1}, fine, fine, fine, fine},
	}
	got, problems := row.events()
	if len(got) != 1 || got[0].Body != (event.Pinged{Ping: "fine"}) || len(problems) != 4 {
		t.Errorf("got %v\n%v", got, problems)
	}
}

func FuzzReadEvent(f *testing.F) {
	for _, body := range bodies[:4] {
		kind := kindsByBody[reflect.TypeOf(body)]
		f.Add("Acme", "alice@one", kind.name, must(wire.Marshal(body)))
	}
	f.Fuzz(func(t *testing.T, organization, author, name string, body []byte) {
		e, err := readEvent(organization, author, name, body)
		if err != nil {
			return
		}
		if _, err := outboxInsert([]event.Event{e}); err != nil {
			t.Errorf("%+v is read but not written: %v", e, err)
		}
	})
}
