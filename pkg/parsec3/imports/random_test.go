//go:build !without_postgresql

package imports_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// TestRandomStates has people of an organization do what comes, writes what this server has
// of it then as an official server would have it, and wants an import to bring the same.
func TestRandomStates(t *testing.T) {
	t.Parallel()
	seeds, actions := 1, 40
	if testkit.Long() {
		seeds, actions = 20, 150
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			lived := testkit.NewPostgres(t)
			l := begin(t, lived, uint64(seed))
			for range actions {
				l.act()
			}
			empty := *testkit.LoadOfficial(t, "3.9.3")
			empty.Rows = map[string][]map[string]*string{"migration": empty.Rows["migration"]}
			from, owner := testkit.NewOfficial(t, &empty)
			writeBack(t, lived, owner)
			to := testkit.NewPostgres(t)
			report := moving.Move(t, wing, from, to, imports.Choices{})
			if found := moving.Findings(report); len(found) > 0 {
				t.Errorf("it tells\n%s", strings.Join(found, "\n"))
			}
			if want, have := stateOf(t, lived), stateOf(t, to); want != have {
				t.Errorf("it is another one:\n%s", moving.Difference(want, have))
			}
		})
	}
}

// life is an organization whose people do what comes.
type life struct {
	t      *testing.T
	ctx    context.Context
	random *rand.Rand
	client *client3.Client
	people []*testclient3.Resident
	realms []parsec.RealmID
	vlobs  []written
	named  int
}

// written is a vlob, with its last version.
type written struct {
	realm   parsec.RealmID
	vlob    parsec.VlobID
	version uint32
}

func begin(t *testing.T, dsn string, seed uint64) *life {
	t.Helper()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{Database: dsn})
	id := must(parsec.ParseOrganizationID("Random"))
	administrator := client.New(server.Address, client.Options{})
	t.Cleanup(administrator.Close)
	allowed, none := true, uint64(0)
	text, err := administrator.Administration(testkit.AdministrationToken).Create(t.Context(), id, client.OrganizationSettings{
		UserProfileOutsiderAllowed: &allowed, MinimumArchivingPeriod: &none,
	})
	if err != nil {
		t.Fatal(err)
	}
	token := must(parsec3.ParseAccessToken(text))
	l := &life{t: t, ctx: t.Context(), random: rand.New(rand.NewPCG(seed, 7))}
	l.client = client3.New(server.Address, client3.LatestVersion, client.Options{})
	t.Cleanup(l.client.Close)
	founder, request, err := client3.NewOrganization(client3.Founding{Organization: id, Token: &token}, l.person(), parsec.DateTimeOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client3.Call(t.Context(), l.client.Anonymous(id), protocol.OrganizationBootstrap, request); err != nil {
		t.Fatal(err)
	}
	l.people = append(l.people, testclient3.NewResident(l.client, founder))
	return l
}

// person returns somebody new.
func (l *life) person() client3.Person {
	l.named++
	name := fmt.Sprintf("person%d", l.named)
	return client3.Person{Label: must(parsec3.ParseDeviceLabel(name)), HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name))}
}

func pick[T any](l *life, from []T) (one T) {
	if len(from) > 0 {
		one = from[l.random.IntN(len(from))]
	}
	return one
}

// act has somebody do something that may be refused.
func (l *life) act() {
	by, other := pick(l, l.people), pick(l, l.people).Device.User
	realm := pick(l, l.realms)
	err := by.Poll(l.ctx)
	if err == nil {
		err = l.do(by, other, realm)
	}
	_, refused := errors.AsType[*protocol.Refusal](err)
	if err != nil && !refused && !strings.Contains(err.Error(), "461") && !errors.Is(err, testclient3.ErrNotSent) && !strings.Contains(err.Error(), "unknown") {
		l.t.Fatal(err)
	}
}

func (l *life) do(by *testclient3.Resident, other parsec3.UserID, realm parsec.RealmID) error {
	profiles := []parsec.UserProfile{parsec.ProfileAdmin, parsec.ProfileStandard, parsec.ProfileOutsider}
	switch l.random.IntN(16) {
	case 0, 1:
		device, err := by.AddUser(l.ctx, l.person(), pick(l, profiles))
		return l.comes(device, err)
	case 2:
		device, err := by.AddDevice(l.ctx, l.person().Label)
		return l.comes(device, err)
	case 3:
		return by.SetProfile(l.ctx, other, pick(l, profiles))
	case 4:
		if l.random.IntN(3) > 0 || other == l.people[0].Device.User {
			return nil
		}
		return by.Revoke(l.ctx, other)
	case 5, 6:
		made, err := by.NewWorkspace(l.ctx, fmt.Sprint("workspace ", l.random.IntN(100)))
		if err == nil {
			l.realms = append(l.realms, made)
		}
		return err
	case 7, 8:
		return by.Share(l.ctx, realm, other, pick(l, []parsec.RealmRole{parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner}))
	case 9:
		return by.Unshare(l.ctx, realm, other)
	case 10:
		return by.RotateKey(l.ctx, realm)
	case 11:
		return by.Archive(l.ctx, realm, pick(l, []parsec.ArchivingType{parsec.ArchivingAvailable, parsec.ArchivingAvailable, parsec.ArchivingArchived}), nil)
	case 12:
		return by.SetUpShamir(l.ctx, 1, map[parsec3.UserID]uint8{other: 2})
	case 13:
		_, err := client3.Call(l.ctx, by.RPC(), protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: l.person().HumanHandle.Email()})
		return err
	default:
		return l.write(by, realm)
	}
}

func (l *life) comes(device *client3.Device, err error) error {
	if err == nil {
		l.people = append(l.people, testclient3.NewResident(l.client, device))
	}
	return err
}

// write writes a new file with a block, or a version of one.
func (l *life) write(by *testclient3.Resident, realm parsec.RealmID) error {
	content := make([]byte, l.random.IntN(500))
	if old := pick(l, l.vlobs); old.version > 0 && l.random.IntN(2) == 0 {
		err := by.Update(l.ctx, old.realm, old.vlob, old.version+1, content)
		for i := range l.vlobs {
			if err == nil && l.vlobs[i].vlob == old.vlob {
				l.vlobs[i].version++
			}
		}
		return err
	}
	made := written{realm, parsec.VlobID(parsec.NewUUID()), 1}
	if err := by.UploadBlock(l.ctx, realm, made.vlob, parsec.BlockID(parsec.NewUUID()), content); err != nil {
		return err
	}
	err := by.Upload(l.ctx, realm, made.vlob, content)
	if err == nil {
		l.vlobs = append(l.vlobs, made)
	}
	return err
}

// stateOf tells what a database has of an organization, but for what servers count in the
// background, and numbers of their own.
func stateOf(t *testing.T, dsn string) string {
	t.Helper()
	connection := testkit.Connect(t, dsn)
	var all strings.Builder
	for _, table := range []string{
		"topic", "certificate", "user_", "user_profile", "user_count", "device", "last_signed", "realm", "realm_counter", "realm_member", "keys_bundle",
		"keys_bundle_access", "vlob", "vlob_atom", "block", "shamir_setup", "shamir_share", "shamir_seen", "invitation",
	} {
		var content string
		err := connection.QueryRow(t.Context(), `
SELECT coalesce(string_agg(r.row, E'\n' ORDER BY r.row), '')
FROM (SELECT (to_jsonb(x) - 'number' - 'checksum' - 'summed_vlobs' - 'summed_blocks' - 'unsummed')::text AS row FROM parsec3.`+table+` x) r
WHERE r.row NOT LIKE '%"users": 0%'`).Scan(&content)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(table + "\n" + content + "\n")
	}
	return all.String()
}
