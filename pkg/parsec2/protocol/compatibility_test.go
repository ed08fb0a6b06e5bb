package protocol_test

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

func TestForClient(t *testing.T) {
	const now, refused, last parsec.DateTime = 3_000_000, 1_000_000, 2_000_000
	var (
		badTimestamp = protocol.RefuseBadTimestamp(now, refused)
		greater      = protocol.RefuseRequireGreaterTimestamp(refused, last)
		archived     = protocol.Refuse(protocol.StatusRealmArchived, "Archived.")
		deleted      = protocol.Refuse(protocol.StatusRealmDeleted, "Deleted.")
		mismatch     = protocol.Refuse(protocol.StatusParticipantMismatch, "Mismatch.")
	)
	for _, test := range []struct {
		command *rpc.Form
		api     parsec.APIVersion
		refusal *protocol.Refusal
		want    protocol.Status
	}{
		{protocol.RealmCreate.Form, parsec.APIVersion{Major: 1, Minor: 2}, badTimestamp, protocol.StatusInvalidCertification},
		{protocol.RealmCreate.Form, parsec.APIVersion{Major: 2, Minor: 3}, badTimestamp, protocol.StatusInvalidCertification},
		{protocol.RealmCreate.Form, parsec.APIVersion{Major: 2, Minor: 4}, badTimestamp, protocol.StatusBadTimestamp},
		{protocol.RealmCreate.Form, parsec.APIVersion{Major: 3, Minor: 0}, badTimestamp, protocol.StatusBadTimestamp},
		{protocol.RealmUpdateRoles.Form, parsec.APIVersion{Major: 2, Minor: 0}, badTimestamp, protocol.StatusInvalidCertification},
		{protocol.OrganizationBootstrapV1.Form, parsec.APIVersion{Major: 1, Minor: 3}, badTimestamp, protocol.StatusInvalidCertification},
		{protocol.VlobCreate.Form, parsec.APIVersion{Major: 1, Minor: 2}, badTimestamp, protocol.StatusBadTimestamp},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 2, Minor: 0}, badTimestamp, protocol.StatusBadTimestamp},
		{protocol.VlobUpdate.Form, parsec.APIVersion{Major: 1, Minor: 3}, greater, protocol.StatusBadTimestamp},
		{protocol.VlobUpdate.Form, parsec.APIVersion{Major: 2, Minor: 2}, greater, protocol.StatusBadTimestamp},
		{protocol.VlobUpdate.Form, parsec.APIVersion{Major: 2, Minor: 3}, greater, protocol.StatusRequireGreaterTimestamp},
		{protocol.VlobUpdate.Form, parsec.APIVersion{Major: 3, Minor: 0}, greater, protocol.StatusRequireGreaterTimestamp},
		{protocol.RealmUpdateRoles.Form, parsec.APIVersion{Major: 2, Minor: 0}, greater, protocol.StatusRequireGreaterTimestamp},
		{protocol.VlobCreate.Form, parsec.APIVersion{Major: 1, Minor: 2}, archived, protocol.StatusNotAllowed},
		{protocol.VlobCreate.Form, parsec.APIVersion{Major: 2, Minor: 9}, archived, protocol.StatusNotAllowed},
		{protocol.VlobCreate.Form, parsec.APIVersion{Major: 2, Minor: 10}, archived, protocol.StatusRealmArchived},
		{protocol.VlobRead.Form, parsec.APIVersion{Major: 3, Minor: 3}, deleted, protocol.StatusNotAllowed},
		{protocol.VlobRead.Form, parsec.APIVersion{Major: 3, Minor: 4}, deleted, protocol.StatusRealmDeleted},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 1, Minor: 3}, mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 2, Minor: 10}, mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 1}, mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, mismatch, protocol.StatusParticipantMismatch},
	} {
		got := protocol.ForClient(test.command, protocol.Client{API: test.api}, now, test.refusal)
		if got.Status != test.want {
			t.Errorf("%s, API %s, %s: got %s, want %s", test.command.Name, test.api, test.refusal.Status, got.Status, test.want)
		}
		if got.Reason == "" {
			t.Errorf("%s, API %s, %s: no reason", test.command.Name, test.api, test.refusal.Status)
		}
		// docs/protocol/commands.md §1.3: the cause is looked for in the text.
		if got.Status == protocol.StatusInvalidCertification && !strings.Contains(got.Reason, "timestamp") {
			t.Errorf("%s, API %s: the reason %q does not tell that the date is the cause", test.command.Name, test.api, got.Reason)
		}
		// docs/protocol/commands.md §1.5: the five fields always come together.
		if details, ok := got.Details.(*protocol.BadTimestampDetails); got.Status == protocol.StatusBadTimestamp &&
			(!ok || details.ClientTimestamp != refused || details.BackendTimestamp != now) {
			t.Errorf("%s, API %s: got details %v", test.command.Name, test.api, got.Details)
		}
	}
}

// What a client names its release decides where versions do not.
func TestForClientByRelease(t *testing.T) {
	var (
		mismatch = protocol.Refuse(protocol.StatusParticipantMismatch, "Mismatch.")
		used     = protocol.Refuse(protocol.StatusIDAlreadyUsed, "Used.")
	)
	for _, test := range []struct {
		command   *rpc.Form
		api       parsec.APIVersion
		userAgent string
		refusal   *protocol.Refusal
		want      protocol.Status
	}{
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.10.0", mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.11.1", mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.12.1+dev", mismatch, protocol.StatusParticipantsMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.13.0", mismatch, protocol.StatusParticipantMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.15.0-rc1", mismatch, protocol.StatusParticipantMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 4}, "parsec/v2.17.0", mismatch, protocol.StatusParticipantMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 2}, "", mismatch, protocol.StatusParticipantMismatch},
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 3, Minor: 0}, "Mozilla/5.0", mismatch, protocol.StatusParticipantsMismatch},
		// Over HTTP the minor is the server's.
		{protocol.RealmStartReencryption.Form, parsec.APIVersion{Major: 2, Minor: 10}, "parsec/v2.17.0", mismatch, protocol.StatusParticipantMismatch},
		{protocol.PKIEnrollmentSubmit.Form, parsec.APIVersion{Major: 2, Minor: 6}, "parsec/v2.8.3", used, protocol.StatusEnrollmentIDAlreadyUsed},
		{protocol.PKIEnrollmentSubmit.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.14.1", used, protocol.StatusEnrollmentIDAlreadyUsed},
		{protocol.PKIEnrollmentSubmit.Form, parsec.APIVersion{Major: 3, Minor: 2}, "parsec/v2.15.0", used, protocol.StatusIDAlreadyUsed},
		{protocol.PKIEnrollmentSubmit.Form, parsec.APIVersion{Major: 3, Minor: 4}, "parsec/v2.17.0", used, protocol.StatusIDAlreadyUsed},
		{protocol.PKIEnrollmentSubmit.Form, parsec.APIVersion{Major: 3, Minor: 2}, "", used, protocol.StatusIDAlreadyUsed},
	} {
		client := protocol.Client{API: test.api, Release: protocol.ReleaseOf(test.userAgent)}
		got := protocol.ForClient(test.command, client, 0, test.refusal)
		if got.Status != test.want || got.Reason != test.refusal.Reason {
			t.Errorf("%s, API %s, %q: got %s, want %s", test.command.Name, test.api, test.userAgent, got.Status, test.want)
		}
	}
}

func TestReleaseOf(t *testing.T) {
	for userAgent, want := range map[string]protocol.Release{
		"parsec/v2.11.1":                 {Major: 2, Minor: 11},
		"parsec/2.17.0":                  {Major: 2, Minor: 17},
		"Parsec/v2.8":                    {Major: 2, Minor: 8},
		"parsec/v2.16.0-a.0.dev.1+abc":   {Major: 2, Minor: 16},
		"Python/3.9 parsec/v2.12.0 (x)":  {Major: 2, Minor: 12},
		"parsec/v3.0.1":                  {Major: 3, Minor: 0},
		"":                               {},
		"parsec":                         {},
		"parsec/":                        {},
		"parsec/v2":                      {},
		"parsec/vx.y":                    {},
		"parsec/v2.-1":                   {},
		"parsec/v2.99999999999999999999": {},
		"parsecs/v2.11.1":                {},
		"Mozilla/5.0 (X11; Linux)":       {},
	} {
		if got := protocol.ReleaseOf(userAgent); got != want {
			t.Errorf("%q: got %v, want %v", userAgent, got, want)
		}
	}
}

// Every command has who may call it, and every form has a request of its own.
func TestCommandTable(t *testing.T) {
	for _, command := range commands.All() {
		if command.Majors == 0 || command.Kinds == 0 {
			t.Errorf("%s: nobody may call it", command.Name)
		}
		if command.NewRequest() == nil {
			t.Errorf("%s: no request", command.Name)
		}
		for _, major := range []uint32{1, 2, 3} {
			for _, kind := range []protocol.Kind{protocol.Authenticated, protocol.Invited, protocol.Anonymous, protocol.Administration} {
				if !command.Majors.Has(major) || protocol.Kind(command.Kinds)&kind == 0 {
					continue
				}
				found, ok := find(command.Name, parsec.APIVersion{Major: major}, kind)
				if !ok || found != command {
					t.Errorf("%s, API %d, %s: hidden by another form", command.Name, major, kind)
				}
			}
		}
	}
	if _, found := find("dummy", parsec.APIVersion{Major: 3}, protocol.Authenticated); found {
		t.Error("an unknown command is found")
	}
}

// find returns the first form of the command name for a connection.
func find(name string, api parsec.APIVersion, kind protocol.Kind) (*rpc.Form, bool) {
	for _, form := range commands.All() {
		if form.Name == name && form.Majors.Has(api.Major) && protocol.Kind(form.Kinds)&kind != 0 {
			return form, true
		}
	}
	return nil, false
}
